"""Builders of plain networks, by name."""

import functools

from tfgates.networks.cifar_resnet import cifar_resnet
from tfgates.networks.resnet import DEPTHS, resnet

CIFAR_DEPTHS = (8, 14, 20, 32, 56, 110)
NETWORKS = {
    **{f"resnet{depth}": functools.partial(resnet, depth) for depth in DEPTHS},
    **{f"cifar_resnet{depth}": functools.partial(cifar_resnet, depth) for depth in CIFAR_DEPTHS},
}
