"""Many reconstructions, each once: the cells of a comparison, their evaluation, and tables of the records."""
