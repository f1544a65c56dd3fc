"""One call from a scan to a volume: a plan of what is wanted, and the run that reads, calibrates, corrects, reconstructs and records."""

import lazy_loader

# The public names and their types are written once, in __init__.pyi beside this file; each is imported when it is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
