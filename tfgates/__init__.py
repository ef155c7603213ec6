"""tfgates: networks that decide, image by image, which of their layers to run."""

from tfgates.gated import Gated, Network, gates
from tfgates.gates import DependentGate, FixedGate, IndependentGate
from tfgates.graph.branches import branches
from tfgates.graph.count import count
from tfgates.graph.gating import gate
from tfgates.losses import per_batch, per_gate
from tfgates.networks import NETWORKS
from tfgates.policies import AlwaysOpen, Expected, Sample, Threshold

__version__ = "0.2.0"

__all__ = [
    "NETWORKS",
    "AlwaysOpen",
    "DependentGate",
    "Expected",
    "FixedGate",
    "Gated",
    "IndependentGate",
    "Network",
    "Sample",
    "Threshold",
    "branches",
    "count",
    "gate",
    "gates",
    "per_batch",
    "per_gate",
]
