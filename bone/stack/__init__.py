"""Volumes of which some slices are worked on at a time: how they are cut into slabs, what is kept of them, what hangs together across."""
