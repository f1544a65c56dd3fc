"""The pages of benchmarks: figures and report."""
