"""Scores: how close a volume or an image is to its reference, and how certain that number is."""
