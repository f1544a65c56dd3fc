"""Volumes on disk: one module for each format, the reader and writer that choose among them, and volumes on other voxels."""
