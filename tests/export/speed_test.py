"""What is timed is what it says: the plain network, and served graphs under forced decisions."""

import numpy as np
import pytest
import tensorflow as tf
from examples import needs_bfloat16
from functional_models import Thresholds

from benchmarks.graphs import Graphs
from benchmarks.skipping import Case
from tfgates.export.timing import SIDE_BY_SIDE, WIDE, Served
from tfgates.network import num_gates
from tfgates.policies import AlwaysOpen


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    return Graphs("cifar_resnet8:32", tmp_path_factory.mktemp("graphs"))


@pytest.fixture(scope="module")
def images():
    return 255 * np.random.default_rng(0).random((5, 32, 32, 3), "float32")


def test_the_plain_network_is_the_gated_one_with_every_block_open(graphs, images):
    served = Served(graphs.by_keras(graphs.plain, "plain"), WIDE)
    (logits,) = served(images=images).values()
    expected = graphs.network(images, policy=AlwaysOpen())["logits"]
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
    assert num_gates(graphs.plain) == 0
    served.close()


@pytest.mark.parametrize("skip", ["loop", "gather", "none"])
def test_decisions_are_forced_image_by_image(graphs, images, skip):
    served = Served(graphs.skipping(graphs.network, skip, skip=skip), SIDE_BY_SIDE)
    case = Case(served, rate=0.4)
    call = case.on(images, num_gates(graphs.network))
    for _ in range(4):
        call()
    decisions = np.stack(case.decisions)
    assert decisions.shape == (4, 5, 3)
    assert decisions.sum() == 4 * round(0.4 * 5 * 3)
    assert len(np.unique(decisions.reshape(4, -1), axis=0)) > 1
    rate, macs = case.executed(graphs.costs)
    assert rate == "0.400"
    assert macs == graphs.costs.executed(decisions.reshape(20, 3)).mean()
    odds = np.where(decisions[0], -1e9, 1e9).astype("float32")
    forced = served(images=images, log_odds=odds)
    np.testing.assert_array_equal(forced["decisions"], decisions[0])

    outputs = graphs.network(images, policy=Thresholds(graphs.network, odds))
    probabilities = tf.nn.softmax(outputs["logits"])
    np.testing.assert_allclose(forced["probabilities"], probabilities, atol=1e-5)
    served.close()


@needs_bfloat16
def test_bfloat16_rounds_and_float32_does_not(graphs, images):
    path = graphs.skipping(graphs.network, "half", skip="gather")
    odds = np.full((5, 3), -1e9, "float32")
    full, half = (Served(path, WIDE, bfloat16=bfloat16) for bfloat16 in (False, True))
    exact, rounded = (
        served(images=images, log_odds=odds)["probabilities"] for served in (full, half)
    )
    assert 0 < np.abs(exact - rounded).max() < 0.1
