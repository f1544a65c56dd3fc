"""The geometry of a scan found from its own projections."""
