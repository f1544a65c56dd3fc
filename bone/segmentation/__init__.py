"""From a scan of the hind limbs to its bones: legs, knees, femora and tibiae, left and right."""
