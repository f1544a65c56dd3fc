"""Volumes of every kind from a seed, to train on and to test with: foams, fibres, textures, plates, layers, bones, parts, teeth, chests."""
