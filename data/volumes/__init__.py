"""Volumes on disk: one module a format, and the reader and writer that choose among them."""
