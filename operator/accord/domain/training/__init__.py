"""TrainingRun: what schedules say, what the trainer is told, and what is to be done about a run: a Job an attempt."""
