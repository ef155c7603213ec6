"""The exported graph: equal to the Keras network, closed blocks not executed, no randomness."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from examples import operations, real_images
from export_fixtures import masked, scores_by_class
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from tfgates.export import skipping
from tfgates.export.arms import Arms
from tfgates.export.interpreter import Graph
from tfgates.gated import num_gates
from tfgates.graph.count import count
from tfgates.policies import Threshold

pytest_plugins = ["export_fixtures"]

TAUS = [0.01, 0.3, 0.5, 0.7, 0.99]


@pytest.mark.parametrize("batch", [1, 7, 32])
def test_skipped_equals_masked(exported, batch):
    encoded = real_images(batch, "test")[0]
    counted = skipping.as_run(count(exported.network), exported.network, exported.model.skip)
    for tau in TAUS:
        answer = exported.answer(
            "predict_tau", image_bytes=tf.constant(encoded), tau=tf.fill([batch], tau)
        )
        # Independent gates were decided when the model was exported, at 0.5.
        decided = len(exported.model.fixed) == num_gates(exported.network)
        expected = masked(exported.gate, 0.5 if decided else tau)
        probabilities, decisions = (values[:batch] for values in expected)
        np.testing.assert_allclose(scores_by_class(answer), probabilities, atol=1e-5)
        np.testing.assert_array_equal(answer["gates"], decisions > 0.5)
        np.testing.assert_allclose(answer["macs"], counted.executed(decisions), rtol=1e-6)
        np.testing.assert_allclose(answer["macs_full"], counted.ungated)
        assert set(answer["status"]) == {b"OK"}


def test_gates_of_the_test_network_differ_between_images(dependent):
    """Otherwise the comparison with the masked network would show little."""
    encoded = real_images(32, "test")[0]
    decisions = dependent.masked(encoded, Threshold(0.5))[1]
    assert 0.2 < decisions.mean() < 0.8
    assert len(np.unique(decisions, axis=0)) >= 4


def test_each_image_has_its_own_tau_from_all_closed_to_all_open(dependent):
    encoded = real_images(6, "test")[0]
    tau = np.array([1e-7, 1 - 1e-7, 0.3, 0.5, 0.7, 0.99], "float32")
    answer = dependent.answer("predict_tau", image_bytes=tf.constant(encoded), tau=tf.constant(tau))
    assert answer["gates"][0].all()
    assert not answer["gates"][1].any()
    for index, image in enumerate(encoded):
        probabilities, decisions = dependent.masked([image], Threshold(tf.constant(tau[index])))
        np.testing.assert_allclose(
            scores_by_class(answer)[index], probabilities[0], atol=1e-5, err_msg=str(index)
        )
        np.testing.assert_array_equal(answer["gates"][index], decisions[0] > 0.5)


def executed_convolutions(exported, encoded, tau, folder):
    """Counts the convolutions that ran during an answer, by TensorFlow's profiler."""
    encoded, tau = tf.constant(encoded), tf.fill([len(encoded)], tau)
    exported.answer("predict_tau", image_bytes=encoded, tau=tau)
    with tf.profiler.experimental.Profile(str(folder)):
        exported.answer("predict_tau", image_bytes=encoded, tau=tau)
    (path,) = folder.rglob("*.xplane.pb")
    names = [
        plane.event_metadata[event.metadata_id].name
        for plane in xplane_pb2.XSpace.FromString(path.read_bytes()).planes
        for line in plane.lines
        for event in line.events
    ]
    # An event of an operation is called name:type, as map/while/cond/Relu:_MklNativeFusedConv2D.
    return sum("Conv2D" in name.rpartition(":")[2] for name in names)


def test_a_closed_block_runs_no_convolution(skips, tmp_path):
    encoded = list(real_images(7, "test")[0])

    def executed(tau):
        return executed_convolutions(skips, encoded, tau, tmp_path / str(tau))

    opened = skips.masked(encoded, Threshold(0.5))[1] > 0.5
    assert 0 < opened.sum() < 7 * 6
    # Gathered, a convolution runs once for all images of which any opens the block.
    times, at_half = 7, opened.sum()
    if skips.model.skip == "gather":
        times, at_half = 1, opened.any(0).sum()
    # The stem, two shortcuts, and two convolutions for each open branch.
    assert executed(1 - 1e-7) == times * 3
    assert executed(1e-7) == times * (3 + 6 * 2)
    assert executed(0.5) == times * 3 + 2 * at_half


def test_gathered_images_alone_go_through_an_arm():
    """A branch that is open for some images of a batch runs on these, and on no others."""
    features = tf.reshape(tf.range(24.0), [6, 2, 2, 1])
    batches = []

    class Noted(keras.layers.Layer):
        def call(self, chosen):
            if isinstance(chosen, tf.__internal__.EagerTensor):
                batches.append(chosen.numpy()[:, 0, 0, 0].tolist())
            return 10 * chosen

    start = keras.Input((2, 2, 1))
    closing = keras.layers.Conv2D(1, 1, kernel_initializer="ones")
    for otherwise, kept in ((start, 1.0), (closing(start), 1.0)):
        then = keras.Model(start, Noted()(start))
        closed = keras.Model(start, otherwise)
        arms = Arms(*(Graph(model, None, {}) for model in (then, closed)), 0, (2, 2, 1))
        for opened in ([0, 1, 0, 0, 1, 1], [0] * 6, [1] * 6):
            opened = np.array(opened, bool)
            given = [features], [None], tf.zeros([6, 1])
            (behind,) = skipping.gather(arms, *given, tf.constant(opened))
            factors = np.where(opened, 10.0, kept)[:, None, None, None]
            np.testing.assert_array_equal(behind, features * factors)
    assert batches == 2 * [[4.0, 16.0, 20.0], [0.0, 4.0, 8.0, 12.0, 16.0, 20.0]]


def test_no_operation_is_random(exported):
    content = (exported.path / "saved_model.pb").read_bytes()
    found = operations(saved_model_pb2.SavedModel.FromString(content).meta_graphs[0].graph_def)
    assert "Conv2D" in found
    assert not [op for op in found if "random" in op.lower() or "rng" in op.lower()]


def test_answers_repeat(dependent):
    encoded = tf.constant(real_images(8, "test")[0])
    first, second = (dependent.answer("serving_default", image_bytes=encoded) for _ in range(2))
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name])
