"""Other implementations of the same work, each optional, beside our own: what is timed and that it is the same."""
