"""tfgates: networks that decide, image by image, which of their layers to run."""

import importlib

from tfgates.base import interrupts, starting

__version__ = "0.2.0"

if starting.reads_flags():
    # `base.command` runs this file once more when they are read. Until then Ctrl-C ends it.
    interrupts.end_at_once()
else:
    import keras

    from tfgates.early_exit import ExitGate, exit_target
    from tfgates.gated import Gated
    from tfgates.gates import DependentGate, IndependentGate
    from tfgates.graph.branches import branches
    from tfgates.graph.count import count
    from tfgates.graph.exits import exits
    from tfgates.graph.gating import gate
    from tfgates.graph.pruning import prune
    from tfgates.losses import per_batch, per_gate
    from tfgates.network import Network, with_exits
    from tfgates.networks import NETWORKS
    from tfgates.policies import AlwaysClosed, AlwaysOpen, Expected, Sample, Threshold
    from tfgates.schedules import Schedule
    from tfgates.stochastic_depth import FixedGate
    from tfgates.targets import Target

__all__ = [
    "NETWORKS",
    "AlwaysClosed",
    "AlwaysOpen",
    "CosineDecay",
    "DependentGate",
    "ExitGate",
    "Expected",
    "FixedGate",
    "Gated",
    "GatedClassifier",
    "IndependentGate",
    "Network",
    "Preprocessing",
    "Sample",
    "Schedule",
    "StepDecay",
    "Target",
    "Threshold",
    "branches",
    "count",
    "exit_target",
    "exits",
    "export_model",
    "gate",
    "per_batch",
    "per_gate",
    "prune",
    "with_exits",
]

# The method runs on every backend of Keras. What needs TensorFlow is imported there, so that
# `keras.saving.load_model` knows it, and elsewhere where it is asked for.
ON_TENSORFLOW = {
    "GatedClassifier": "tfgates.training.classifier",
    "StepDecay": "tfgates.training.schedule",
    "CosineDecay": "tfgates.training.schedule",
    "Preprocessing": "tfgates.data.preprocess",
    "export_model": "tfgates.export.model",
}


def __getattr__(name):
    if name not in ON_TENSORFLOW:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(ON_TENSORFLOW[name]), name)


if not starting.reads_flags() and keras.backend.backend() == "tensorflow":
    for name in ("GatedClassifier", "StepDecay", "CosineDecay"):
        importlib.import_module(ON_TENSORFLOW[name])
