"""Layouts of public data sets that others measured: one file each, and a row of `reader.FORMATS`."""
