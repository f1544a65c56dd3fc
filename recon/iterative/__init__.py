"""Iterative methods, how they are started, stopped and tuned from the data."""
