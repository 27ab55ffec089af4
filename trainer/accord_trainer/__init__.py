"""Trainers that run under an Accord TrainingRun. The SDK for your own trainer is `accord_trainer.sdk`."""

__version__ = "0.1.0"
