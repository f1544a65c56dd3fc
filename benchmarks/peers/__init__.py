"""Other implementations of the same work, each optional, beside our own: what is timed, and the check that all do the same."""
