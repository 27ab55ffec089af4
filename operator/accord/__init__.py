"""Accord: keeps traffic, training and served checkpoints in accord with what is written in Git."""
