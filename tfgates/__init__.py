"""tfgates: networks that decide, image by image, which of their layers to run."""

from tfgates.blocks import GatedBlock
from tfgates.gates import DependentGate, IndependentGate
from tfgates.losses import per_batch, per_gate
from tfgates.network import GatedNetwork
from tfgates.networks import NETWORKS
from tfgates.norms import GatedNormalization
from tfgates.policies import AlwaysOpen, Expected, Sample, Threshold
from tfgates.training.classifier import GatedClassifier
from tfgates.training.schedule import StepDecay

__version__ = "0.1.0"

__all__ = [
    "NETWORKS",
    "AlwaysOpen",
    "DependentGate",
    "Expected",
    "GatedBlock",
    "GatedClassifier",
    "GatedNetwork",
    "GatedNormalization",
    "IndependentGate",
    "Sample",
    "StepDecay",
    "Threshold",
    "per_batch",
    "per_gate",
]
