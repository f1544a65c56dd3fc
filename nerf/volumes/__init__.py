"""Networks that improve a volume: `unet` and `lpd`."""
