"""From voxels to quantities: what the slabs of a volume add up to, and what follows from the sums."""
