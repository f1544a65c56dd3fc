"""Training for any network: the contract, examples, the loop, checkpoints, and the trained network as a method."""
