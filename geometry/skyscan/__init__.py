"""SkyScan logs and scanners: reading a log file into a `Scan`, and writing a `Scan` as a log file."""
