"""The scanner in software: spectrum, attenuation, noise, detector."""
