"""Outputs: whose they are, what a stopped run leaves of them, and how a full disk ends them."""
