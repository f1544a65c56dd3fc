"""How far a volume is from the truth, voxel by voxel: learned on procedural volumes, and scaled there until the intervals hold."""
