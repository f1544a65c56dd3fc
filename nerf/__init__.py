"""Learned reconstruction: fields fitted to one scan, networks trained across animals, their training and checkpoints."""

import lazy_loader

# The public names and their types are written once, in __init__.pyi beside this file; each is imported when it is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
