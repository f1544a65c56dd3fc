"""What every room needs: errors, files that are written whole or not at all, memory, run records, plain JSON, and names for arrays."""

from .errors import InputError, MissingBackendError, UnknownNameError

__all__ = ["InputError", "MissingBackendError", "UnknownNameError"]
