"""One network of `tvnet` from several, each of which is better on other objects: taught by them, or with them as members."""
