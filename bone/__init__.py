"""What a volume means: segmentation, registration, composites, morphometry."""

import lazy_loader

# The public names are written once, with their types, in __init__.pyi beside this file; each is imported on first use.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
