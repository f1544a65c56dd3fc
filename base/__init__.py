"""What every room needs: errors, atomic files, memory, run records, plain JSON."""

from .errors import InputError, MissingBackendError, UnknownNameError

__all__ = ["InputError", "MissingBackendError", "UnknownNameError"]
