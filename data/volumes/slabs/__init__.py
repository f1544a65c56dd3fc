"""Volumes that are written slab by slab, in any order and by several processes, because memory does not hold them."""
