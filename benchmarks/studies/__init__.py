"""The studies that `fewview bench` runs."""
