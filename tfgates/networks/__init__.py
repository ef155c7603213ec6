"""Builders of gated networks, by name."""

import functools

from tfgates.networks.cifar_resnet import cifar_resnet

NETWORKS = {
    f"cifar_resnet{depth}": functools.partial(cifar_resnet, depth)
    for depth in (8, 14, 20, 32, 56, 110)
}
