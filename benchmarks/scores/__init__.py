"""Scores: how near a volume or an image is to its reference, and how sure that number is."""
