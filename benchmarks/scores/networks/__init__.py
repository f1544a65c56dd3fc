"""The networks on whose features distances between images are based."""
