"""Methods on paired scans of animals: what a task does, how it is scored, tuned and put into tables."""
