"""MedNeRF: a generator of objects, trained against a discriminator, then fitted to X-rays."""
