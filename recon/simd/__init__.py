"""Vectors written by hand for AVX-512, and the loops made of them."""
