"""CheckpointPolicy: which checkpoint is served, which are kept, and what happens when a training goes wrong."""
