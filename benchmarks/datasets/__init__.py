"""Data sets to compare methods on: who is related to whom, what is scanned, how a simulated set is built."""
