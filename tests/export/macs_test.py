"""The multiply-adds that an exported model reports are those that it runs."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from examples import gated
from functional_models import CLASSES, MODELS

from tfgates.data.preprocess import Preprocessing
from tfgates.export import card
from tfgates.export.savedmodel import ServedModel
from tfgates.gated import Gated
from tfgates.graph.count import count
from tfgates.graph.macs import multiply_adds, of_gate
from tfgates.graph.nodes import nodes
from tfgates.network import gates
from tfgates.networks.cifar_resnet import cifar_resnet
from tfgates.report.card import of_export

LABELS = [f"class {index}" for index in range(10)]
IMAGES = 4


@functools.cache
def network_of(kind):
    keras.utils.set_random_seed(1)
    if kind in MODELS:
        return MODELS[kind]()
    return gated(cifar_resnet(8, 10, input_shape=(16, 16, 3)), gated=kind, seed=1)


def everything(model):
    """Multiply-adds of all that stands in a graph: both arms of each gate, and the gate."""
    return sum(
        of_gate(node.operation.gate, node.input_tensors[0].shape)
        + everything(node.operation.then)
        + (everything(node.operation.otherwise) if node.operation.otherwise else 0)
        if isinstance(node.operation, Gated)
        else multiply_adds(node)
        for node in nodes(model)
    )


def served(kind, **options):
    network = network_of(kind)
    size, labels = network.inputs[0].shape[1], LABELS[: CLASSES if kind in MODELS else 10]
    return ServedModel(network, Preprocessing(size), labels, **options)


def answers(model):
    """What `predict_images`, and the graph behind `predict_tau` at a low and a high tau, return."""
    images = 255 * np.random.default_rng(0).random((IMAGES, *[model.preprocessing.size] * 2, 3))
    images, ok = tf.constant(images, tf.float32), tf.fill([IMAGES], "OK")
    low, high = (tf.fill([IMAGES], np.float32(tau)) for tau in (0.01, 0.99))
    return [
        model.predict_images(images),
        *(model._answer(images, tau, tau, ok) for tau in (low, high)),
    ]


@pytest.mark.parametrize("kind", ["branches", "exits", "residuals"])
def test_without_skipping_every_multiply_add_is_counted_for_every_image(kind):
    model = served(kind, skip="none")
    live = len(gates(network_of(kind))) - len(model.fixed)
    assert live > 0
    # An independent gate is decided, and here leaves nothing out.
    whole = everything(network_of(kind))
    for answer in answers(model):
        np.testing.assert_allclose(answer["macs"], [whole] * IMAGES, rtol=1e-6)
    assert (model.always, set(model.left.branches)) == (whole, {0})


@pytest.mark.parametrize("skip", ["loop", "gather"])
def test_skipped_branches_are_counted_where_they_run(skip):
    network, model = network_of("branches"), served("branches", skip=skip)
    first, low, high = answers(model)
    assert low["gates"].numpy().all()
    assert not high["gates"].numpy().any()
    counted = count(network)
    for answer in (first, low, high):
        expected = counted.executed(answer["gates"].numpy())
        np.testing.assert_allclose(answer["macs"], expected, rtol=1e-6)
    np.testing.assert_allclose(low["macs"], everything(network), rtol=1e-6)


@pytest.mark.parametrize("skip", ["loop", "gather", "none"])
def test_masked_groups_of_filters_are_computed_and_counted(skip):
    model = served("output_filters", skip=skip)
    first, low, high = answers(model)
    assert low["gates"].numpy().mean() > high["gates"].numpy().mean()
    for answer in (first, low, high):
        np.testing.assert_allclose(answer["macs"], everything(network_of("output_filters")))


@pytest.mark.parametrize("skip", ["loop", "none"])
def test_a_branch_that_is_closed_for_good_is_counted_by_none(skip):
    counted, gate = count(network_of("branches")), gates(network_of("branches"))[1].gate
    model = served("branches", skip=skip, fixed={0: True, 1: False})
    left = counted.ungated + counted.gates - counted.removable[1]
    left -= of_gate(gate, None) + of_gate(gates(network_of("branches"))[0].gate, None)
    _, low, high = answers(model)
    np.testing.assert_allclose(low["macs"], left, rtol=1e-6)
    closed = 0 if skip == "none" else counted.branches[2]
    np.testing.assert_allclose(high["macs"], left - closed, rtol=1e-6)
    assert low["gates"].numpy()[:, :2].tolist() == [[True, False]] * IMAGES


def test_the_card_says_what_is_run():
    network = network_of("branches")
    measured = {"split": "test", "top1_error": 11.75, "top5_error": 0.35, "rate": 0.5}
    measured |= {"macs": 1e6, "macs_share": 0.5, "before_fixing": False}
    trained = {"dataset": "my_set:1.0.0", "flags": {}}
    whole, full = everything(network), count(network).ungated
    about = card.describe(served("branches", skip="none"), network, trained, measured)
    assert about["macs"] == {"full": full, "always": whole, "branches": [0, 0, 0]}
    assert about["measured"] == {**measured, "macs": whole, "macs_share": whole / full}
    assert f"{whole / 1e6:,.2f} M at least, {full / 1e6:,.2f} M with every" in of_export(about)
    assert f"{whole / 1e6:,.2f} M, 100.0 % of every branch" in of_export(about)
    about = card.describe(served("branches", skip="loop"), network, trained, measured)
    assert about["measured"] == measured
