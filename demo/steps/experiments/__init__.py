"""Each function makes one claim come true or not: it does something to a `World`, measures, and returns an `Outcome`.

They leave the world as they found it: the policy as its file has it, every Deployment at its size.
"""

from demo.steps.experiments.alerts import deviation_alert, measured_on_target, prometheus_down
from demo.steps.experiments.checkpoints import checkpoints_served, fault_rolled_back, run_finishes
from demo.steps.experiments.downshift import model_fails
from demo.steps.experiments.operators import failover, operator_down
from demo.steps.experiments.repair import mode_without_pods, rollout, service_deleted
from demo.steps.experiments.splits import split, sticky, weight_changes
from demo.steps.experiments.training import trained, trainer_killed

__all__ = [
    "checkpoints_served",
    "deviation_alert",
    "failover",
    "fault_rolled_back",
    "measured_on_target",
    "mode_without_pods",
    "model_fails",
    "operator_down",
    "prometheus_down",
    "rollout",
    "run_finishes",
    "service_deleted",
    "split",
    "sticky",
    "trained",
    "trainer_killed",
    "weight_changes",
]
