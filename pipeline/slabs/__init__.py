"""Reconstructions larger than memory: slab by slab, on this machine or on a cluster, resumable."""
