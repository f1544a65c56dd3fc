"""Data sets on which methods are compared: which animals are related, what is scanned, and how a simulated set is built."""
