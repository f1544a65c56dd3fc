"""pixelNeRF: attenuation at a point from the image features where every view sees it."""
