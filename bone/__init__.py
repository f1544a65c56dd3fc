"""What a volume means: segmentation, registration, composites, morphometry."""
