"""Quantities of bone as scores: their errors in one volume, and their bias and intervals over many bones."""
