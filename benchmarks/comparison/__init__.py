"""Methods on paired scans of animals: what a task does, and how methods are scored, tuned and put into tables."""
