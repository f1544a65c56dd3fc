"""What a volume is expected to look like: penalties and the total-variation kernels."""
