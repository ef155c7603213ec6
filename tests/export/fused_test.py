"""What the graphs are fast by: products with bias, sum and ReLU in one operation, on constants."""

import json
import os
import platform
import subprocess
import sys

import pytest
from examples import ROOT

CASES = ["cifar_resnet20:32,gather", "resnet50:32,loop", "keras:MobileNetV2:32,loop"]
PRODUCTS = ("Conv", "Depthwise", "MatMul")


@pytest.fixture(scope="module")
def operations():
    """Function of a case that returns what runs of it with oneDNN, by name."""
    paths = [str(ROOT), str(ROOT / "tests/helpers"), os.environ.get("PYTHONPATH", "")]
    finished = subprocess.run(
        [sys.executable, "-m", "fused", *CASES],
        env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": "1", "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    found = dict(zip(CASES, json.loads(finished.stdout.splitlines()[-1]), strict=True))
    return found.__getitem__


def products(operations):
    return {
        name: count
        for name, count in operations.items()
        if any(product in name for product in PRODUCTS)
    }


needs_onednn = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="TensorFlow has oneDNN on x86 alone."
)


@needs_onednn
def test_a_gathered_network_fuses_the_sums_of_its_identity_blocks(operations):
    found = operations("cifar_resnet20:32,gather")
    assert products(found) == {
        # The stem, and the first convolution of nine branches.
        "FusedConv2D BiasAdd+Relu, constant": 10,
        # Seven blocks with an identity; two with a projection, which is one more.
        "FusedConv2D BiasAdd+Add+Relu, constant": 7,
        "FusedConv2D BiasAdd, constant": 4,
        # Nine gates and the classifier.
        "FusedMatMul BiasAdd+Relu, constant": 9,
        "FusedMatMul BiasAdd, constant": 10,
    }
    # Of the two: a sum, its ReLU, and that of the closed arm, where some images and where all are.
    assert (found["AddV2"], found["Relu"]) == (2, 6)
    assert not {"BiasAdd", "Mul", "FusedBatchNormV3", "ReadVariableOp"} & set(found)


@needs_onednn
def test_a_looped_network_fuses_all_its_sums(operations):
    found = operations("resnet50:32,loop")
    assert products(found) == {
        # The stem, and the first two convolutions of sixteen branches.
        "FusedConv2D BiasAdd+Relu, constant": 33,
        "FusedConv2D BiasAdd+Add+Relu, constant": 16,
        # Projections.
        "FusedConv2D BiasAdd, constant": 4,
        "FusedMatMul BiasAdd+Relu, constant": 16,
        "FusedMatMul BiasAdd, constant": 17,
    }
    # Closed blocks with a projection. The padding is that of the pool.
    assert (found["Relu"], found["Pad"]) == (4, 1)
    assert not {"BiasAdd", "Mul", "FusedBatchNormV3", "ReadVariableOp"} & set(found)


@needs_onednn
def test_a_network_of_anybody_is_fused_as_well(operations):
    found = operations("keras:MobileNetV2:32,loop")
    assert products(found) == {
        "FusedConv2D BiasAdd+Relu6, constant": 18,
        "FusedDepthwiseConv2dNative BiasAdd+Relu6, constant": 17,
        # Ten linear bottlenecks are added to what enters them, seven are not.
        "FusedConv2D BiasAdd+Add, constant": 10,
        "FusedConv2D BiasAdd, constant": 7,
        "FusedMatMul BiasAdd+Relu, constant": 10,
        "FusedMatMul BiasAdd, constant": 11,
    }
    assert not {"BiasAdd", "Mul", "Relu6", "FusedBatchNormV3", "ReadVariableOp"} & set(found)
