"""Local thickness from grey values: a sub-voxel surface, the distance to it, inscribed balls, and the map that they paint."""
