"""Whether what was read can be a scan at all: views, truncation, angles and line integrals, judged while they are read."""
