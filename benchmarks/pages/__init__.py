"""The page of a benchmark: figures and report."""
