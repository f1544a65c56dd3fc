"""Neural reconstructors, their training and checkpoints."""
