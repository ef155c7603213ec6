"""--network=keras:NAME and model:PATH: what is built, trained, served, and refused."""

import json

import keras
import numpy as np
import own_models
import pytest
from examples import STATISTICS, own_lines, randomize, train_settings
from processes import forked

from tfgates.base.errors import UserError
from tfgates.data.preprocess import STATISTICS as KNOWN
from tfgates.graph.copying import named_layers
from tfgates.network import gates, logits_and_decisions, num_gates
from tfgates.policies import AlwaysOpen
from tfgates.runs import init_from
from tfgates.runs.build import build_network
from tfgates.runs.folder import RunFolder

PIXELS = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A model of one's own, and the path of its file."""
    model = own_models.residual_cnn(size=32)
    path = tmp_path_factory.mktemp("own") / "mine.keras"
    model.save(path)
    return model, path


def test_a_network_of_keras_takes_raw_pixels():
    settings = train_settings("--network=keras:MobileNetV2", "--where=block_1*")
    network = build_network(settings, 7, KNOWN["raw"])
    names = [layer.name for layer in gates(network)]
    assert names == ["block_11", "block_12", "block_14", "block_15"]
    plain = keras.applications.MobileNetV2(
        weights=None, input_shape=(32, 32, 3), classes=7, classifier_activation=None
    )
    ours, theirs = named_layers(network), named_layers(randomize(plain))
    for name, layer in theirs.items():
        if layer.weights:
            own_name = "classifier" if name == "predictions" else name
            ours[own_name].set_weights(layer.get_weights())
    expected = plain(keras.applications.mobilenet_v2.preprocess_input(PIXELS.copy()))
    logits, _ = logits_and_decisions(network(PIXELS, policy=AlwaysOpen()))
    np.testing.assert_allclose(logits, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("statistics", "scale", "offset"),
    [("raw", 1, 0), ("unit", 1 / 255, 0), ("symmetric", 2 / 255, -1)],
)
def test_a_model_of_ones_own_takes_pixels_as_its_flag_says(own, statistics, scale, offset):
    model, path = own
    flags = (f"--network=model:{path}", f"--statistics={statistics}", "--gate=independent")
    network = build_network(train_settings(*flags), 10, KNOWN[statistics])
    logits, _ = logits_and_decisions(network(PIXELS, policy=AlwaysOpen()))
    expected = model(PIXELS * scale + offset)
    np.testing.assert_allclose(keras.ops.softmax(logits), expected, atol=1e-5)


def test_other_classes_take_a_new_classifier(own):
    _, path = own
    settings = train_settings(f"--network=model:{path}", "--statistics=unit", "--gate=none")
    assert build_network(settings, 4, KNOWN["unit"]).output_shape == (None, 4)


def test_weights_of_keras_come_from_a_file(tmp_path):
    source = keras.applications.MobileNetV2(weights=None)
    path = tmp_path / "mobilenet.weights.h5"
    source.save_weights(path)
    settings = train_settings("--network=keras:MobileNetV2")
    network = build_network(settings, 10, KNOWN["raw"])
    line = init_from.initialize(network, f"keras:{path}")
    assert line.endswith("fresh: 10 gates and the classifier (1000 classes there, 10 here).")
    ours, theirs = named_layers(network), named_layers(source)
    for name in ("Conv1", "block_11_project_BN", "Conv_1"):
        for weight, value in zip(ours[name].weights, theirs[name].weights, strict=True):
            np.testing.assert_array_equal(weight, value)
    other = build_network(train_settings("--network=keras:MobileNetV3Small"), 10, KNOWN["raw"])
    with pytest.raises(UserError, match="weights of MobileNetV3Small cannot be loaded"):
        init_from.initialize(other, f"keras:{path}")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--network=model:a.keras"], "pass --statistics=raw"),
        (["--network=model:a.keras", "--statistics=raw", "--init_from=runs/a"], "brings its own"),
        (["--network=keras:MobileNetV2", "--statistics=imagenet"], "brings its own statistics"),
        (["--network=keras:MobileNetV2", "--branch_targets=1,t"], "Pass --where"),
        (["--where=block_0*", "--branch_targets=1,t,t,t,t,t,t,t,t"], "Received: both"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(flags, message):
    with pytest.raises(UserError, match=message):
        train_settings(*flags)


def test_what_cannot_be_built_is_refused_in_one_line(own):
    _, path = own
    for flags, message in [
        ([f"--network=model:{path}", "--statistics=unit", "--image_size=16"], "of the shape"),
        ([f"--network=model:{path}x", "--statistics=unit"], "not a file"),
        (["--network=keras:MobileNetV2", "--where=stage_*"], "fits none of block_2, block_4"),
    ]:
        with pytest.raises(UserError, match=message):
            build_network(train_settings(*flags), 10, STATISTICS)


def test_a_model_with_layers_of_ones_own_is_trained_pruned_and_served(tmp_path, training):
    path = tmp_path / "mine.keras"
    own_models.custom(size=32).save(path)
    run = RunFolder(tmp_path / "run")
    flags = training(run.path, "--epochs=1", "--statistics=unit", f"--code={own_models.__file__}")
    flags[flags.index("--network=cifar_resnet8")] = f"--network=model:{path}"
    trained = forked(*flags)
    assert trained.returncode == 0, trained.stderr
    assert num_gates(run.load_classifier().network) == 1
    for tool, *options in (
        ("evaluate", "--thresholds=0.5"),
        ("prune", "--min_rate=0.5"),
        ("report",),
        ("export",),
    ):
        done = forked("-m", f"tfgates.tools.{tool}", f"--run={run.path}", *options)
        assert done.returncode == 0, (tool, own_lines(done.stderr))
    further = forked(
        "train.py", f"--flagfile={run.path}-pruned/flags.cfg", f"--output_dir={tmp_path / 'tuned'}"
    )
    assert further.returncode == 0, own_lines(further.stderr)
    about = json.loads((run.export / "1/assets.extra/tfgates.json").read_text())
    assert (about["network"], about["gates"]) == ("custom", 1)
