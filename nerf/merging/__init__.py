"""One set of weights of `tvnet` from two, each of which is better on other objects."""
