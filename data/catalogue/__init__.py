"""External data sets: the manifest of what there is, and how its files are fetched and verified."""
