"""Training for any network: the contract, examples, loop, checkpoints, and the trained network as a method."""
