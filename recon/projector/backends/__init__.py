"""Backends of `Operator` and `fdk`: every file in this folder whose ``BACKEND`` is a `Backend` is one; none is listed anywhere else."""
