"""Scans of procedural volumes as training examples."""
