"""A field of attenuation, how rays see it, and `naf`, which fits one to a scan."""
