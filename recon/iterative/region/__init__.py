"""A grid that is smaller than the object: what the views show beside it, and the whole that is reconstructed coarsely to take that away."""
