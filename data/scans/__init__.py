"""Scans on disk: one module a layout, the reader that recognises them, and the preparation of counts to line integrals."""
