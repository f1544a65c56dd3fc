"""SkyScan logs and scanners: what a log file says becomes a `Scan`, and a `Scan` becomes a log file."""
