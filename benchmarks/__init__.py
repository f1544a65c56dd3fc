"""Which method, which data, how good, how fast."""
