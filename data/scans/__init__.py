"""Scans on disk: one module for each layout, the reader that recognises them, and the preparation of counts to line integrals."""
