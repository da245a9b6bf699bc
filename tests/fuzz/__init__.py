"""Mutated inputs for every reader of what strangers send: `make fuzz` tries 10,000, the ordinary tests some."""
