"""The learned ridge prior of `wcrr`: its filters, its shipped weights, the prior itself, and the solver."""
