"""Iterative methods, and how they are started, stopped and tuned from the data."""
