"""Builders of plain networks, by name."""

import functools

from tfgates.networks.cifar_densenet import block_ends, cifar_densenet
from tfgates.networks.cifar_resnet import cifar_resnet
from tfgates.networks.resnet import DEPTHS, resnet

CIFAR_DEPTHS = (8, 14, 20, 32, 56, 110)
DENSENET_DEPTHS = (16, 40, 100)
NETWORKS = {
    **{f"resnet{depth}": functools.partial(resnet, depth) for depth in DEPTHS},
    **{f"cifar_resnet{depth}": functools.partial(cifar_resnet, depth) for depth in CIFAR_DEPTHS},
    **{
        f"cifar_densenet{depth}": functools.partial(cifar_densenet, depth)
        for depth in DENSENET_DEPTHS
    },
}
# Of each network, the number of its branches, each of which may have a gate.
NUM_BRANCHES = {
    **{f"resnet{depth}": sum(counts) for depth, (counts, _) in DEPTHS.items()},
    **{f"cifar_resnet{depth}": (depth - 2) // 2 for depth in CIFAR_DEPTHS},
    **{f"cifar_densenet{depth}": (depth - 4) // 2 for depth in DENSENET_DEPTHS},
}
# Of each network, the filters of its narrowest layers, which divide those of all others.
NARROWEST = {
    **{f"resnet{depth}": 64 for depth in DEPTHS},
    **{f"cifar_resnet{depth}": 16 for depth in CIFAR_DEPTHS},
    **{f"cifar_densenet{depth}": 12 for depth in DENSENET_DEPTHS},
}
# Of networks of dense blocks, the layers in which those end that others follow.
BLOCK_ENDS = {f"cifar_densenet{depth}": block_ends(depth) for depth in DENSENET_DEPTHS}
