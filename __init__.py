"""fewview: sparse-angle cone-beam CT. See README.md and docs/conventions.md."""

import lazy_loader

__version__ = "0.1.0"

# The public names are written once, with their types, in __init__.pyi beside this file; each is imported on first use.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
