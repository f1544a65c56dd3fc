"""MedNeRF: a generator of objects that is trained against a discriminator, and then fitted to X-rays."""
