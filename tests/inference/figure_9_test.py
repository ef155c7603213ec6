"""Figure 9: who leaves where, and how often each classifier is wrong."""

import numpy as np
import tensorflow as tf
from examples import exits_network, randomize

import tfgates
from tfgates.graph.count import count
from tfgates.inference.evaluate import evaluate
from tfgates.inference.exits import evaluate_exits, exit_columns, exit_of, summarize
from tfgates.inference.rates import thresholded_rates
from tfgates.policies import AlwaysClosed, AlwaysOpen, Threshold
from tfgates.report import tables


def test_the_exit_of_an_image_is_counted_from_1():
    decisions = [[1, 0, 1, 0], [1, 1, 0, 0], [0, 1, 1, 1]]
    assert exit_of(decisions, [1, 3]).tolist() == [1, 2, 3]


def test_shares_rates_and_errors_written_out():
    wrong = np.array([[0, 1, 0], [1, 1, 0], [1, 0, 0], [1, 0, 1]], bool)
    first, second, end = summarize(wrong, np.array([1, 1, 2, 2]), np.array([1.0, 3, 4, 4]))
    assert (first.share, first.rate, first.error_all, first.error_chosen) == (0.5, 0.5, 75, 50)
    assert (second.share, second.rate, second.error_all, second.error_chosen) == (0.5, 1, 50, 0)
    assert (end.share, end.rate, end.error_all, end.error_chosen) == (0, 0, 25, None)
    assert (first.macs, second.macs, end.macs) == (2, 4, None)
    rows = tables.exit_rows([first, second, end])
    assert rows[0] == ["exit 1", "50.00 %", "50.00 %", "75.00", "50.00", "0.00"]
    assert rows[2] == ["end", "0.00 %", "0.00 %", "25.00", "", ""]


def evaluated():
    network = randomize(exits_network(), seed=4, odds_std=3.0)
    rng = np.random.default_rng(0)
    # Of unlike contrast, by which the gates tell them apart.
    images = rng.normal(size=(40, 8, 8, 3)) * rng.uniform(0, 3, (40, 1, 1, 1))
    images = images.astype("float32")
    labels, kept = rng.integers(0, 10, 40), np.arange(40) < 37
    data = tf.data.Dataset.from_tensor_slices((images, labels, kept.astype("float32"))).batch(10)
    return network, data, images[:37], labels[:37]


def test_of_a_network_by_hand():
    network, data, images, labels = evaluated()
    outputs = network(images, policy=Threshold())
    decisions = np.asarray(outputs["decisions"])
    left = exit_of(decisions, exit_columns(network))
    assert set(left) == {1, 2, 3}
    right = np.argmax(outputs["logits"], axis=1) == labels
    found = evaluate_exits(network, data)
    for one in found:
        here = left == one.exit
        np.testing.assert_allclose(one.share, here.mean())
        np.testing.assert_allclose(one.error_chosen, 100 * (1 - right[here].mean()))
        np.testing.assert_allclose(one.macs, count(network).executed(decisions[here]).mean())
    to_the_end = np.argmax(network(images, policy=AlwaysOpen())["logits"], axis=1) == labels
    np.testing.assert_allclose(found[-1].error_all, 100 * (1 - to_the_end.mean()))


def test_rates_are_of_the_images_that_arrive():
    network, data, images, _ = evaluated()
    decisions = np.asarray(network(images, policy=Threshold())["decisions"])
    outer, inner = decisions.mean(axis=0)
    assert 0 < inner < outer < 1
    results = {one.policy: one for one in evaluate(network, data)}
    np.testing.assert_allclose(results["threshold 0.5"].gate_rates, [outer, inner / outer])
    rates = thresholded_rates(network, data.map(lambda image, *_: image), 0.5)
    assert rates[1] > inner
    # What the exits of each policy let through.
    assert results["threshold 0.5, to the end"].gate_rates == [1, 1]
    assert results["threshold 0.5, leave at exit 1"].gate_rates == [0, 0]
    costs = count(network)
    assert results["threshold 0.5, leave at exit 1"].macs == costs.executed([0, 0])


def test_policies_of_exits_move_exits_alone():
    network = tfgates.exits(
        tfgates.gate(tfgates.NETWORKS["cifar_densenet16"](10, input_shape=(16, 16, 3)), seed=0),
        "block_1_layer_02_concat",
        units=4,
    )
    images = np.random.default_rng(0).random((4, 16, 16, 3)).astype("float32")
    layers = [0, 1, 3, 4, 5, 6]
    for exits, opened in ((AlwaysOpen(), 1), (AlwaysClosed(), 0)):
        policy = tfgates.with_exits(network, AlwaysOpen(), exits)
        decisions = np.asarray(network(images, policy=policy)["decisions"])
        assert (decisions[:, 2] == opened).all()
        assert (decisions[:, layers[:2]] == 1).all()
        assert (decisions[:, layers[2:]] == opened).all()
