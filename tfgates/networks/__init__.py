"""Builders of plain networks, by name."""

import functools

from tfgates.networks.cifar_resnet import cifar_resnet
from tfgates.networks.resnet import DEPTHS, resnet

CIFAR_DEPTHS = (8, 14, 20, 32, 56, 110)
NETWORKS = {
    **{f"resnet{depth}": functools.partial(resnet, depth) for depth in DEPTHS},
    **{f"cifar_resnet{depth}": functools.partial(cifar_resnet, depth) for depth in CIFAR_DEPTHS},
}
# Of each network, the number of its branches, each of which may have a gate.
NUM_BRANCHES = {
    **{f"resnet{depth}": sum(counts) for depth, (counts, _) in DEPTHS.items()},
    **{f"cifar_resnet{depth}": (depth - 2) // 2 for depth in CIFAR_DEPTHS},
}
# Of each network, the filters of its narrowest layers, which divide those of all others.
NARROWEST = {name: 16 if name.startswith("cifar") else 64 for name in NETWORKS}
