"""A field of attenuation, what rays see of it, and `naf`, which fits one to a scan."""
