"""Early exits, served: what is behind an image's exit is not run, and it says where it left."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from examples import STATISTICS, real_images
from export_fixtures import LABELS
from own_models import randomized

import tfgates
from tfgates.data.preprocess import Preprocessing
from tfgates.export import warmup
from tfgates.export.savedmodel import BAD_EXIT_TAU, BAD_TAU, ServedModel
from tfgates.export.skipping import SKIPS, serve
from tfgates.network import num_gates
from tfgates.networks.cifar_densenet import block_ends, cifar_densenet
from tfgates.policies import AlwaysClosed, AlwaysOpen, Threshold

SIZE, IMAGES = 16, 9
PREPROCESSING = Preprocessing(SIZE)
# Of three images each: all go on, some do, none does.
EXIT_TAU = np.repeat([1e-6, 0.5, 1 - 1e-6], 3).astype("float32")
TAU = np.tile([0.2, 0.5, 0.8], 3).astype("float32")
# Columns of the decisions: layer, exit, layer, exit, layer.
EXITS, LAYERS = (1, 3), (0, 2, 4)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    plain = cifar_densenet(10, 10, (SIZE, SIZE, 3), growth=4, statistics=STATISTICS)
    found = tfgates.exits(tfgates.gate(plain, seed=0), block_ends(10), units=4, seed=1)
    return randomized(found, seed=3)


@pytest.fixture(scope="module")
def encoded():
    return list(real_images(IMAGES, "test")[0])


def expected(network, encoded, policy):
    """Probabilities, decisions and exits of the masked network."""
    outputs = network(np.stack([PREPROCESSING(one) for one in encoded]), policy=policy)
    decisions = np.asarray(outputs["decisions"]) > 0
    return np.asarray(tf.nn.softmax(outputs["logits"])), decisions, 1 + decisions[:, EXITS].sum(1)


def by_class(answer):
    order = np.argsort(answer["class_ids"], axis=1)
    return np.take_along_axis(np.asarray(answer["scores"]), order, axis=1)


def check(answer, probabilities, decisions, left):
    np.testing.assert_allclose(by_class(answer), probabilities, atol=1e-5)
    np.testing.assert_array_equal(answer["gates"], decisions)
    np.testing.assert_array_equal(answer["exit"], left)


@pytest.mark.parametrize("skip", SKIPS)
def test_each_image_leaves_by_its_own_threshold(network, encoded, skip):
    model = ServedModel(network, PREPROCESSING, LABELS, skip=skip, top_k=10)
    given = tf.constant(TAU), tf.constant(EXIT_TAU)
    both = tfgates.with_exits(network, *map(Threshold, given))
    found = expected(network, encoded, both)
    assert set(found[2]) == {1, 2, 3}
    check(model.predict_taus(tf.constant(encoded), *given), *found)
    half = tf.fill([IMAGES], 0.5)
    usual = expected(network, encoded, Threshold())
    for answer in (
        model.predict(tf.constant(encoded)),
        model.predict_exit_tau(tf.constant(encoded), half),
        model.predict_tau(tf.constant(encoded), half),
    ):
        check(answer, *usual)
    if skip == "none":
        return
    macs = tfgates.count(network).executed(found[1])
    answer = model.predict_taus(tf.constant(encoded), *given)
    np.testing.assert_allclose(answer["macs"], macs, rtol=1e-6)


@pytest.mark.parametrize("fixed", [{1: False}, {1: True}, {2: True, 3: False}], ids=str)
def test_exits_that_are_decided_for_good(network, encoded, fixed):
    """What lies behind an exit where all leave is gone; decisions are those of what ran."""
    model = ServedModel(
        network, PREPROCESSING, LABELS, fixed=fixed, tau=0.2, exit_tau=0.9, top_k=10
    )

    class Fixed:
        def __init__(self, column):
            self.column = column

        def __call__(self, logits, noise=None):
            return (AlwaysOpen() if fixed[self.column] else AlwaysClosed())(logits)

    class Policy(tfgates.policies.WithExits):
        def of(self, name):
            column = tfgates.network.columns(network)[name].start
            usual = Threshold(0.9 if column in EXITS else 0.2)
            return Fixed(column) if column in fixed else usual

    found = expected(network, encoded, Policy((), None, None))
    check(model.predict(tf.constant(encoded)), *found)


def test_bad_thresholds_and_bad_images_have_their_own_status(network, encoded):
    model = ServedModel(network, PREPROCESSING, LABELS)
    images = tf.constant([*encoded[:3], b"no image"])
    answer = model.predict_taus(images, [0.5, 0.5, 1.0, 0.5], [0.5, 0.0, 0.5, 0.5])
    statuses = [status.decode() for status in answer["status"].numpy()]
    assert statuses[:3] == ["OK", BAD_EXIT_TAU, BAD_TAU]
    assert statuses[3].startswith("INVALID_ARGUMENT: not a readable image")
    assert (answer["exit"].numpy() > 0).tolist() == [True, False, False, False]
    for bad in (0.0, 1.0, float("nan")):
        with pytest.raises(ValueError, match=r"`exit_tau` is a probability in \(0, 1\)"):
            ServedModel(network, PREPROCESSING, LABELS, exit_tau=bad)


def test_signatures_and_warm_up_requests(network, tmp_path):
    model = ServedModel(network, PREPROCESSING, LABELS)
    signatures = model.signatures()
    assert {"predict_exit_tau", "predict_taus"} < set(signatures)
    assert signatures["serving_default"].structured_outputs["exit"].shape == [None]
    assert b"predict_exit_tau" in warmup.of_model(model)
    plain = ServedModel(cifar_densenet(10, 10, (SIZE, SIZE, 3)), PREPROCESSING, LABELS)
    assert "predict_taus" not in plain.signatures()
    assert "exit" not in plain.signatures()["serving_default"].structured_outputs


def convolutions_run(network, skip, log_odds):
    """Counts the convolutions that TensorFlow runs, by its own trace of a session."""
    specs = [
        tf.TensorSpec((None, SIZE, SIZE, 3)),
        tf.TensorSpec((None, num_gates(network))),
        tf.TensorSpec((None,), tf.bool),
    ]
    run = tf.function(serve(network, skip), autograph=False).get_concrete_function(*specs)
    images = np.random.default_rng(0).random((len(log_odds), SIZE, SIZE, 3), "float32")
    given = images, log_odds, np.ones(len(log_odds), bool)
    record = tf.compat.v1.RunMetadata()
    options = tf.compat.v1.RunOptions(trace_level=tf.compat.v1.RunOptions.FULL_TRACE)
    with tf.Graph().as_default() as graph, tf.compat.v1.Session(graph=graph) as session:
        tf.graph_util.import_graph_def(run.graph.as_graph_def(), name="")
        fed = {one.name: array for one, array in zip(run.inputs, given, strict=True)}
        fetched = [one.name for one in run.outputs]
        _, decisions = session.run(fetched, fed, options=options, run_metadata=record)
    np.testing.assert_array_equal(decisions, log_odds < 0)
    return sum(
        # "name = kind(inputs)", of which a name is that of any part of what was fused.
        "Conv2D" in stats.timeline_label.partition(" = ")[2].partition("(")[0]
        for device in record.step_stats.dev_stats
        for stats in device.node_stats
    )


def test_behind_an_exit_no_convolution_runs(network):
    stem, layer, transition, classifier = 1, 2, 1, 2
    before = stem + layer
    to_the_second = before + transition + layer
    # An image at each exit, and two at the first: with every layer open.
    ran = np.array([[1, 0, 0, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]], bool)
    odds = np.where(ran, -1e9, 1e9).astype("float32")
    of_images = [
        before + classifier,
        to_the_second + classifier,
        to_the_second + transition + layer,
        before + classifier,
    ]
    for image, count in enumerate(of_images):
        for skip in ("loop", "gather"):
            assert convolutions_run(network, skip, odds[image : image + 1]) == count
    assert convolutions_run(network, "loop", odds) == sum(of_images)
    # Gathered, each runs once, for the images that want it.
    everything = to_the_second + transition + layer + 2 * classifier
    assert convolutions_run(network, "gather", odds) == everything
