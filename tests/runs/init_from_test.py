"""--init_from: what it takes; a run that starts from another one."""

import types

import numpy as np
import pytest
from examples import PREPROCESSING, STATISTICS, randomize, small_network
from saved import assert_unchanged, gate_weights, run, values

import tfgates
from tfgates.base.errors import UserError
from tfgates.graph.copying import named_layers
from tfgates.network import logits_and_decisions
from tfgates.networks import NETWORKS
from tfgates.policies import AlwaysOpen
from tfgates.runs.folder import RunFolder
from tfgates.runs.init_from import initialize, pixel_statistics


@pytest.mark.parametrize("value", ["", "torchvision", "imagenet1k", "runs/none"])
def test_another_value_is_refused(value):
    with pytest.raises(UserError, match=r"--init_from.*imagenet, torchvision:PATH.*runs/NAME"):
        initialize(small_network(), value)


def test_pixel_statistics_are_those_of_the_weights(tmp_path):
    torchvision = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert pixel_statistics("imagenet") == pixel_statistics("torchvision:a.pth") == torchvision
    dataset = types.SimpleNamespace(
        name="my_set", splits={"train": "train"}, labels=["a", "b"], fingerprint="1 train"
    )
    RunFolder(tmp_path).write_data(dataset, PREPROCESSING, STATISTICS)
    assert pixel_statistics(str(tmp_path)) == STATISTICS
    with pytest.raises(UserError, match="--init_from"):
        pixel_statistics("runs/none")


@pytest.mark.parametrize("gate", ["none", "dependent", "independent"])
def test_a_run_starts_from_another(tmp_path, gate):
    source = randomize(small_network(gate))
    folder = run(tmp_path / "source", source)
    network = small_network("dependent" if gate == "none" else gate)
    before = gate_weights(network)
    line = initialize(network, folder)
    batch = np.random.default_rng(0).random((4, 8, 8, 3), "float32")
    logits, theirs = (
        logits_and_decisions(one(batch, policy=AlwaysOpen()))[0] for one in (network, source)
    )
    np.testing.assert_array_equal(logits, theirs)
    fresh = "3 gates" if gate == "none" else "nothing"
    assert line == f"cifar_resnet8 starts from the run {folder}; fresh: {fresh}."
    expected = before if gate == "none" else gate_weights(source)
    for weight, value in zip(gate_weights(network), expected, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_a_run_with_other_classes_leaves_the_classifier_fresh(tmp_path, mirrored):
    build = NETWORKS["cifar_resnet8"]
    source = randomize(build(5))
    folder = run(tmp_path / "source", source)
    with mirrored.scope():
        network = tfgates.gate(build(10), "independent")
        classifier = named_layers(network)["classifier"]
        before = values(classifier)
        line = initialize(network, folder)
    assert line.endswith("fresh: 3 gates and the classifier (5 classes there, 10 here).")
    assert_unchanged(classifier, before)
    theirs, own = named_layers(source), named_layers(network)
    for name in ("stem_conv", "block_01_conv_2", "block_02_project_norm"):
        for weight, value in zip(own[name].weights, theirs[name].weights, strict=True):
            np.testing.assert_array_equal(weight, value)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: NETWORKS["cifar_resnet14"](10), "--network=cifar_resnet14.*=cifar_resnet8"),
        (lambda: small_network("independent"), "DependentGate, not IndependentGate"),
        (lambda: small_network("none"), "DependentGate, not no gate"),
        (
            lambda: tfgates.gate(NETWORKS["cifar_resnet8"](10, input_shape=(8, 8, 1))),
            r"3, 16\).*1, 16\)",
        ),
    ],
)
def test_runs_that_do_not_fit_change_nothing(tmp_path, build, message):
    folder = run(tmp_path / "source", small_network())
    network = build()
    before = values(network)
    with pytest.raises(UserError, match=message):
        initialize(network, folder)
    assert_unchanged(network, before)


def test_an_unfinished_run_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no finished run: model\.keras is missing"):
        initialize(small_network(), str(tmp_path))
