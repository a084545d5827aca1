"""Fuzzing: what bytes make of the readers, of saved models and checkpoints, and of fits. See `__main__`."""
