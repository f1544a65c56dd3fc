"""A mouse hind limb made by software: smooth noise, bones, a leg, and the scene that is scanned."""
