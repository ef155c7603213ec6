"""The flags of early exits: what they build, and which combinations are refused by name."""

import numpy as np
import pytest
from examples import STATISTICS, train_settings

from tfgates.base.errors import UserError
from tfgates.network import columns, exits_of
from tfgates.runs.build import build_classifier

SMALL = ("--network=cifar_densenet16", "--image_size=16", "--exits=blocks", "--exit_units=4")
LAYERS = tuple(f"block_{block}_layer_{number:02d}" for block in (1, 2, 3) for number in (1, 2))


def classifier_of(*flags):
    return build_classifier(train_settings(*SMALL, *flags), 10, 1, STATISTICS)


def test_the_targets_of_layers_and_exits():
    classifier = classifier_of(
        *("--target_loss=per_gate", "--target_rate=0.9", "--target_weight=2"),
        *("--exit_target=0.4,0.2", "--exit_weight=0.5", "--sample_epochs=3"),
    )
    layers, exits = classifier.targets
    assert (layers.rate, layers.scope, layers.gates) == (0.9, "per_gate", LAYERS)
    np.testing.assert_allclose(exits.rate, (0.6, 0.8))
    assert (exits.penalty, exits.gates) == ("constant_quadratic", ("exit_1", "exit_2"))
    assert layers.weight == exits.weight == 2
    assert exits.schedule.sample_epochs == 3
    assert classifier.exits.weight == 0.5
    gate = exits_of(classifier.network)[0].gate
    assert gate.units == 4


def test_exits_of_a_network_without_other_gates():
    classifier = classifier_of("--gate=none", "--exit_penalty=quadratic")
    assert list(columns(classifier.network)) == ["exit_1", "exit_2"]
    (exits,) = classifier.targets
    assert (exits.rate, exits.penalty) == (0.7, "quadratic")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--exit_units=3"], "--exit_units belongs to --exits. Received: --exit_units=3"),
        (["--exit_target=0.5"], "--exit_target belongs to --exits"),
        (["--exits=blocks"], "belongs to cifar_densenet16.*--network=cifar_resnet20"),
        ([*SMALL, "--exits=blocks,stem_conv"], "--exits=blocks stands alone"),
        ([*SMALL, "--exit_target=1"], r"share that leaves at an exit.*\[0, 1\).*Received: 1"),
        ([*SMALL, "--exit_target=a"], "--exit_target.*Received: a"),
        ([*SMALL, "--exit_target=.1,.1,.1"], "one for each of 2. Received: 0.1,0.1,0.1"),
        ([*SMALL, "--exit_target=0"], "costs nothing at any share"),
        ([*SMALL, "--gate=nested"], "--exits belongs to --gate"),
    ],
)
def test_bad_flags_are_refused_by_name(flags, message):
    with pytest.raises(UserError, match=message):
        train_settings(*flags)


def test_an_exit_that_saves_nothing_is_refused():
    with pytest.raises(UserError, match=r"An exit saves what is behind it.*fewer `units`"):
        classifier_of("--exit_units=128")
