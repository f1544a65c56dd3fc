"""One animal over weeks: its scans aligned, what was lost and what is new, and how its quantities change."""
