"""Training of the weakly convex ridge prior of `wcrr`, on patches of procedural volumes alone."""
