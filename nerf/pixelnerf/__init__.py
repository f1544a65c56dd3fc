"""pixelNeRF: the attenuation at a point from the image features of all views that see it."""
