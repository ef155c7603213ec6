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
# Of networks of dense blocks, the layers in which those end that others follow.
BLOCK_ENDS = {f"cifar_densenet{depth}": block_ends(depth) for depth in DENSENET_DEPTHS}
