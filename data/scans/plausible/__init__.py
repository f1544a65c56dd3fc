"""Checks whether what is read can be a scan at all: views, truncation, angles and line integrals, examined while they are read."""
