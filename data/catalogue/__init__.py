"""External data sets: the manifest that lists them, and how their files are fetched and verified."""
