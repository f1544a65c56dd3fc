"""The CPU's kernels, compiled by numba: plain loops over contiguous memory that the compiler turns into vectors on every processor."""
