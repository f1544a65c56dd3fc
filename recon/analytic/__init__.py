"""Filtered back-projection: the Feldkamp method for short scans, its weights and filters."""
