"""What a trainer of one's own uses. `Session` does all of it for a loop of one's own; each other name works alone.

    contract = Contract.from_environment()
    checkpoints = CheckpointStore.of(contract)
    resumed = checkpoints.resume(contract.resume_from)
    metrics = Metrics()
    with metrics.serve(contract.metrics_port), StopSignal() as stop:
        ...

docs/how-to/bring-your-own-trainer.md goes through it line by line.
"""

from accord_trainer.sdk.chance import Chance
from accord_trainer.sdk.checkpoints import CheckpointStore
from accord_trainer.sdk.contract import Contract, ContractError
from accord_trainer.sdk.manifest import Checkpoint, CheckpointError
from accord_trainer.sdk.metrics import Metrics
from accord_trainer.sdk.normalizer import RewardNormalizer
from accord_trainer.sdk.schedules import Schedule
from accord_trainer.sdk.session import Session
from accord_trainer.sdk.signals import StopSignal

__all__ = [
    "Chance",
    "Checkpoint",
    "CheckpointError",
    "CheckpointStore",
    "Contract",
    "ContractError",
    "Metrics",
    "RewardNormalizer",
    "Schedule",
    "Session",
    "StopSignal",
]
