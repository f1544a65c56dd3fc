"""The quantities of bone: what they are, how they are measured, and the result."""
