"""What a run by slabs will take, found by small samples of the work."""
