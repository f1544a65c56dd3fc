"""GPU kernels in Triton: the projector pair and the back-projection of filtered views, for tensors on a CUDA device.

Everywhere the lanes of a warp run along z: volumes are turned to [y, x, z] and views to [view, col, row] first, so that what
neighbouring threads read lies side by side for any direction of the rays.
"""
