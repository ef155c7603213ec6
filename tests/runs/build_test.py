"""What a run builds of its flags: batch norm over replicas or not, a step that XLA compiles."""

import keras
import numpy as np
import pytest
from examples import STATISTICS, features_before, train_settings
from trained import batches

from tfgates.base.errors import UserError
from tfgates.graph.nodes import layers_inside
from tfgates.policies import AlwaysOpen
from tfgates.runs.build import build_classifier, build_network

SMALL = ("--network=cifar_resnet8", "--image_size=8")


def settings(*flags):
    return train_settings(*SMALL, *flags)


@pytest.mark.parametrize("synchronized", [True, False])
def test_batch_norm_is_over_all_replicas_unless_its_flag_says_otherwise(mirrored, synchronized):
    flags = () if synchronized else ("--nosync_batch_norm",)
    with mirrored.scope():
        network = build_network(settings("--strategy=mirrored", *flags), 10, STATISTICS)
    norms = [
        layer
        for layer in layers_inside(network)
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert len(norms) == 1 + 3 * 3 + 2
    assert {norm.synchronized for norm in norms} == {synchronized}
    # Images of little contrast on the first replica, of much on the other.
    halves = np.random.default_rng(0).random((2, 16, 8, 8, 3), "float32")
    halves *= np.reshape([50, 250], (2, 1, 1, 1, 1))
    norm = network.get_layer("stem_norm")
    features = np.asarray(features_before(network, "stem_norm")(np.concatenate(halves)))
    variance = (features if synchronized else features[:16]).var(axis=(0, 1, 2))

    def step(images):
        return network(images, policy=AlwaysOpen(), training=True)

    values = mirrored.experimental_distribute_values_from_function(
        lambda context: halves[context.replica_id_in_sync_group]
    )
    mirrored.run(step, args=(values,))
    np.testing.assert_allclose(norm.moving_variance.numpy(), 0.9 + 0.1 * variance, rtol=1e-5)
    if not synchronized:
        assert (features.var(axis=(0, 1, 2)) > 2 * variance).all()


def test_without_a_strategy_there_is_nothing_to_synchronize():
    network = build_network(settings(), 10, STATISTICS)
    assert not network.get_layer("stem_norm").synchronized


def test_a_step_that_xla_compiles_is_the_same_step():
    """Without gates: XLA draws other noise."""
    weights = []
    for flag in ("--nojit", "--jit"):
        keras.utils.set_random_seed(0)
        classifier = build_classifier(settings("--gate=none", flag), 10, 1, STATISTICS)
        assert classifier.jit_compile == (flag == "--jit")
        classifier.fit(batches(1), verbose=0)
        weights.append([np.asarray(weight) for weight in classifier.trainable_variables])
    for plain, compiled in zip(*weights, strict=True):
        np.testing.assert_allclose(compiled, plain, atol=1e-5)


def test_the_flags_of_the_optimizer_and_the_labels():
    flags = (
        *("--epochs=4", "--warmup_epochs=1", "--learning_rate_schedule=cosine", "--nesterov"),
        *("--label_smoothing=0.1", "--gate_learning_rate_factor=0.5", "--nodecay_gates"),
    )
    classifier = build_classifier(settings(*flags), 10, 5, STATISTICS)
    optimizer = classifier.optimizer
    assert (optimizer.nesterov, optimizer.momentum) == (True, 0.9)
    schedule = optimizer.get_config()["learning_rate"]["config"]
    assert schedule == {"learning_rate": 0.1, "steps": 20, "warmup_steps": 5}
    assert classifier.loss.smoothing == 0.1
    assert classifier.updates.get_config() == {
        "weight_decay": 5e-4,
        "decayed": "all",
        "decay_gates": False,
        "gate_learning_rate_factor": 0.5,
    }


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--nesterov", "--momentum=0"], "--nesterov belongs to a --momentum above 0"),
        (
            ["--learning_rate_schedule=cosine", "--decay_epochs=2"],
            "--decay_epochs belongs to .*steps",
        ),
        (["--gate_learning_rate_factor=2", "--gate=none"], "--gate_learning_rate_factor belongs"),
        (["--warmup_epochs=9", "--epochs=9"], "--warmup_epochs ends before"),
    ],
)
def test_flags_of_the_optimizer_are_refused_by_name(flags, message):
    with pytest.raises(UserError, match=message):
        settings(*flags)
