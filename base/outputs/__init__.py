"""Outputs: which of them are fewview's own, what a run that was stopped leaves behind, and what happens when the disk is full."""
