"""What every iterative method is made of: the data term, its settings, how one is set up, and the loop."""
