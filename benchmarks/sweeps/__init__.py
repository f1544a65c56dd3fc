"""Many reconstructions, each made once: the tasks of a comparison, their evaluation, and tables of the records."""
