"""Evaluation: errors, rates and multiply-adds against NumPy."""

import tracemalloc

import numpy as np
import pytest
import tensorflow as tf
from examples import randomize, set_odds, small_network

import tfgates
from tfgates.graph.count import count
from tfgates.inference.evaluate import evaluate, evaluate_thresholds
from tfgates.inference.passes import Answers, Tally, averaged, summarize, voted
from tfgates.network import logits_and_decisions
from tfgates.networks.cifar_resnet import cifar_resnet
from tfgates.policies import AlwaysOpen, Threshold
from tfgates.report import tables


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((50, 8, 8, 3), "float32")


@pytest.fixture(scope="module")
def labels():
    return np.random.default_rng(1).integers(0, 10, 50)


@pytest.fixture(scope="module")
def network():
    return set_odds(randomize(small_network("independent")), (2.0, -2.0, 0.5))


@pytest.fixture(scope="module")
def results(network, images, labels):
    weights = np.ones(60, "float32")
    weights[50:] = 0
    filled = np.concatenate([images, images[:10]]), np.concatenate([labels, np.zeros(10, int)])
    batches = tf.data.Dataset.from_tensor_slices((*filled, weights)).batch(20)
    return {result.policy: result for result in evaluate(network, batches)}


@pytest.mark.parametrize(
    ("name", "policy"), [("threshold 0.5", Threshold(0.5)), ("always open", AlwaysOpen())]
)
def test_deterministic_policies_against_numpy(results, network, images, labels, name, policy):
    answers = logits_and_decisions(network(images, policy=policy))
    logits, decisions = (values.numpy() for values in answers)
    order = np.argsort(-logits, axis=1)
    wrong = {k: 100 * np.mean((order[:, :k] != labels[:, None]).all(axis=1)) for k in (1, 5)}
    result = results[name]
    assert result.top1_error == pytest.approx(wrong[1])
    assert result.top5_error == pytest.approx(wrong[5])
    assert result.rate == pytest.approx(decisions.mean())
    assert result.gate_rates == pytest.approx(decisions.mean(axis=0).tolist())
    counted = count(network, (8, 8, 3))
    assert result.macs == pytest.approx(counted.executed(decisions).mean())
    assert result.macs_share == pytest.approx(result.macs / counted.ungated)
    assert result.top1_error_std is result.macs_std is None


def test_threshold_runs_two_of_three_blocks(results):
    assert results["threshold 0.5"].gate_rates == [1.0, 0.0, 1.0]


def test_stochastic_passes_vary_about_the_probabilities(results, network):
    result = results["stochastic, 5 passes"]
    probabilities = 1 / (1 + np.exp(-np.array([2.0, -2.0, 0.5])))
    error = 4 * np.sqrt(probabilities * (1 - probabilities) / 250)
    assert (np.abs(np.array(result.gate_rates) - probabilities) < error).all()
    assert result.rate_std > 0
    assert result.macs == pytest.approx(
        count(network, (8, 8, 3)).executed(result.gate_rates), rel=1e-6
    )


def test_expected_scales_every_branch_and_the_ensemble_runs_five_networks(results):
    assert results["expected"].rate == pytest.approx(np.mean(results["expected"].gate_rates))
    assert results["expected"].macs == results["always open"].macs
    sampled = results["stochastic, 5 passes"]
    for name in ("mean", "vote"):
        ensemble = results[f"ensemble of the 5, {name}"]
        assert ensemble.macs == pytest.approx(5 * sampled.macs)
        assert ensemble.rate == pytest.approx(sampled.rate)


def answers(scores, labels):
    """`Answers` of one gate that is always open."""
    scores, labels = np.array(scores), np.array(labels)
    return Answers(scores, np.ones((len(labels), 1)), np.ones(len(labels)), labels, 1)


def error(answers, k):
    tally = Tally()
    tally.add(answers)
    return tally.error(k)


def test_an_ensemble_averages_probabilities():
    one, other = [[0.6, 0.4], [0.4, 0.6]], [[0.3, 0.7], [0.7, 0.3]]
    merged = averaged([answers(one, [0, 0]), answers(other, [0, 0])])
    np.testing.assert_allclose(merged.scores, [[0.45, 0.55], [0.55, 0.45]])
    assert error(merged, 1) == 50.0
    assert error(merged, 5) == 0.0


def test_an_ensemble_votes_and_equal_votes_go_by_probability():
    confident, doubtful = answers([[0.9, 0.1, 0.0]], [0]), answers([[0.4, 0.0, 0.6]], [0])
    # Two of three vote for class 2, whose mean probability is the lower one.
    assert error(averaged([confident, doubtful, doubtful]), 1) == 0.0
    assert error(voted([confident, doubtful, doubtful]), 1) == 100.0
    assert error(voted([confident, doubtful]), 1) == 0.0
    order = np.argsort(-voted([confident, doubtful]).scores[0])
    assert order.tolist() == [0, 2, 1]


def test_each_threshold_is_evaluated_as_its_policy_is(network, images, labels):
    batches = tf.data.Dataset.from_tensors((images, labels, np.ones(50, "float32")))
    # The probabilities are those of log-odds 2, -2 and 0.5.
    results = evaluate_thresholds(network, batches, [0.05, 0.3, 0.7, 0.9])
    assert [result.policy for result in results] == ["0.05", "0.3", "0.7", "0.9"]
    assert [result.gate_rates for result in results] == [[1, 1, 1], [1, 0, 1], [1, 0, 0], [0, 0, 0]]
    logits, _ = logits_and_decisions(network(images, policy=Threshold(0.7)))
    wrong = 100 * np.mean(np.argmax(logits, axis=1) != labels)
    assert results[2].top1_error == pytest.approx(wrong)


def test_equal_classes_are_right_for_the_first_only():
    equal = answers(np.zeros((3, 10)), [0, 4, 9])
    assert error(equal, 1) == pytest.approx(200 / 3)
    assert error(equal, 5) == pytest.approx(100 / 3)


def test_results_are_those_of_all_images_however_batches_divide_them():
    rng = np.random.default_rng(0)
    scores, decisions = rng.random((5, 30, 10)), rng.random((5, 30, 3)) < 0.4
    labels, macs = rng.integers(0, 10, 30), rng.integers(0, 10**9, (5, 30)).astype("float64")
    samples = [
        [
            Answers(scores[one, part], decisions[one, part], macs[one, part], labels[part], 10**9)
            for one in range(5)
        ]
        for part in (slice(0, 17), slice(17, 30))
    ]
    stochastic, mean, vote = summarize(
        {"": some, "mean": [averaged(some)], "vote": [voted(some)]} for some in samples
    )
    votes = np.stack([np.bincount(one, minlength=10) for one in scores.argmax(axis=2).T])
    wrong = {
        "mean": scores.mean(axis=0).argmax(axis=1) != labels,
        "vote": (votes + scores.mean(axis=0) / 2).argmax(axis=1) != labels,
    }
    assert mean.top1_error == pytest.approx(100 * wrong["mean"].mean())
    assert vote.top1_error == pytest.approx(100 * wrong["vote"].mean())
    errors = 100 * (scores.argmax(axis=2) != labels).mean(axis=1)
    assert stochastic.top1_error == pytest.approx(errors.mean())
    assert stochastic.top1_error_std == pytest.approx(errors.std(ddof=1))
    assert stochastic.gate_rates == pytest.approx(decisions.mean(axis=(0, 1)).tolist())
    assert stochastic.macs == pytest.approx(macs.mean())
    assert mean.macs_share == pytest.approx(macs.sum(axis=0).mean() / 10**9)


def test_a_plain_network_has_one_row(images, labels):
    batches = tf.data.Dataset.from_tensors((images, labels, np.ones(50, "float32")))
    network = small_network("none")
    (result,) = evaluate(network, batches)
    assert result.policy == "no gates"
    assert (result.rate, result.macs_share, result.gate_rates) == (1.0, 1.0, [])


def test_the_table_has_a_row_for_each_policy(results):
    lines = tables.policies(list(results.values())).splitlines()
    assert len(lines) == 2 + 6
    stochastic = results["stochastic, 5 passes"]
    assert f"{stochastic.top1_error:.2f} ± {stochastic.top1_error_std:.2f}" in lines[3]


def test_bars_are_as_long_as_the_rates():
    lines = tables.gate_bars([0.0, 0.5, 1.0], ["stem", "block_2", "rest"]).splitlines()
    assert [line.split()[-2:] for line in lines][1] == ["0.500", "block_2"]
    assert [line.count("█") for line in lines] == [0, 12, 24]
    assert [line.count("░") for line in lines] == [24, 12, 0]


@pytest.mark.parametrize("taus", [None, [0.1, 0.3, 0.5, 0.7, 0.9]], ids=["policies", "thresholds"])
def test_no_scores_are_kept_beyond_their_batch(taus):
    """At the last batch of twenty, NumPy holds less than three times what it holds at the first."""
    count, classes = 20, 1000
    images, labels = np.zeros((count * 16, 8, 8, 3), "float32"), np.zeros(count * 16, "int64")
    data = images, labels, np.ones(count * 16, "float32")
    batches = tf.data.Dataset.from_tensor_slices(data).batch(16)
    network = tfgates.gate(cifar_resnet(8, classes, input_shape=(8, 8, 3)), seed=7)
    held: list = []

    def measure(done, total):
        if done in (total // count, total):
            numpy = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
            snapshot = tracemalloc.take_snapshot().filter_traces([numpy])
            held.append(sum(trace.size for trace in snapshot.traces))

    tracemalloc.start()
    try:
        if taus is None:
            evaluate(network, batches, measure)
        else:
            evaluate_thresholds(network, batches, taus, measure)
    finally:
        tracemalloc.stop()
    first, last = held
    assert first > 16 * classes * 8
    assert last < 3 * first
