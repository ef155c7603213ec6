"""Builders of gated networks, by name."""

import functools

from tfgates.networks.cifar_resnet import cifar_resnet
from tfgates.networks.resnet import DEPTHS, resnet

NETWORKS = {
    **{f"resnet{depth}": functools.partial(resnet, depth) for depth in DEPTHS},
    **{
        f"cifar_resnet{depth}": functools.partial(cifar_resnet, depth)
        for depth in (8, 14, 20, 32, 56, 110)
    },
}
