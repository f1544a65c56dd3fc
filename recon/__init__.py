"""Between projections and volumes: operator, FDK, iterative methods, simulator, corrections, calibration.

No module here has the name of a public function, so that ``fewview.recon.fdk`` is always the function.
"""

import lazy_loader

# The public names are written once, with their types, in __init__.pyi beside this file; each is imported on first use.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
