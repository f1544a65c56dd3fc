"""A mouse hind limb made in software: smooth noise, bones, leg, and the scene that is scanned."""
