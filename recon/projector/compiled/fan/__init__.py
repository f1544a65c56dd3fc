"""Fan beams, parallel beams and scans of a few detector rows: kernels for a single slice or a few, where loops along z are too short."""
