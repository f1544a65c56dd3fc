"""The projector pair: `Operator`, and the backends that do its work."""
