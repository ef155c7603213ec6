"""Every layer of tfgates is saved, copied, replicated and computed in half precision."""

import dataclasses
import importlib
import pathlib
from collections.abc import Callable

import keras
import numpy as np
import pytest
from examples import ROOT, exits_network, small_network

import tfgates
from tfgates.early_exit import ExitGate
from tfgates.gated import Decisions
from tfgates.gates import DependentGate, IndependentGate
from tfgates.graph.channels import PlaceGroups
from tfgates.graph.decided import Zeros
from tfgates.noise import LogisticNoise
from tfgates.policies import Expected
from tfgates.stochastic_depth import FixedGate
from tfgates.training.classifier import GatedClassifier

FEATURES = ((8, 8, 16),)


@dataclasses.dataclass(frozen=True)
class Case:
    """A layer and what is known of it.

    Args:
        make: function of nothing that returns it.
        shapes: of its inputs, without the images.
        full: indices of its outputs that stay in float32 under mixed precision.
        draws: whether it draws, so that replicas differ.
    """

    make: Callable
    shapes: tuple = FEATURES
    full: tuple = ()
    draws: bool = False


def conv(norm=False):
    """Returns a model of a convolution, whose batch norm ends it or is left out."""
    outputs = inputs = keras.Input((8, 8, 16))
    outputs = keras.layers.Conv2D(16, 3, padding="same")(inputs)
    if norm:
        outputs = keras.layers.BatchNormalization()(outputs)
    return keras.Model(inputs, outputs)


def nested():
    """Returns a gated model that has a gate inside."""
    inputs = keras.Input((8, 8, 16))
    inner = tfgates.Gated(conv(norm=True), IndependentGate(), seed=2, name="inner")
    return tfgates.Gated(keras.Model(inputs, inner(inputs)), DependentGate(), seed=1)


CASES = {
    "Gated, its norm scaled": Case(
        lambda: tfgates.Gated(conv(norm=True), DependentGate(), seed=1), full=(1,)
    ),
    "Gated, its output multiplied": Case(
        lambda: tfgates.Gated(conv(), IndependentGate(), seed=1), full=(1,)
    ),
    "Gated, with otherwise": Case(
        lambda: tfgates.Gated(conv(norm=True), DependentGate(), conv(), seed=1), full=(1,)
    ),
    "Gated, groups": Case(
        lambda: tfgates.Gated(conv(norm=True), DependentGate(groups=4), seed=1), full=(1,)
    ),
    "Gated, groups of which one stays": Case(
        lambda: tfgates.Gated(conv(), IndependentGate(groups=4), keep_one=True, seed=1), full=(1,)
    ),
    "Gated, a gate inside": Case(nested, full=(1,)),
    "Gated, stochastic depth": Case(
        lambda: tfgates.Gated(conv(norm=True), FixedGate(0.7), seed=1), full=(1,)
    ),
    "DependentGate": Case(lambda: DependentGate(units=4, odds=(0.5, 1.0)), full=(0,)),
    "ExitGate": Case(lambda: ExitGate(units=4, odds=(0.5, 1.0)), full=(0,)),
    "DependentGate, groups": Case(lambda: DependentGate(groups=4), full=(0,)),
    "IndependentGate": Case(lambda: IndependentGate(odds=(0.5, 1.0)), full=(0,)),
    "IndependentGate, groups": Case(lambda: IndependentGate(groups=4), full=(0,)),
    "FixedGate": Case(lambda: FixedGate(0.3), full=(0,)),
    "LogisticNoise": Case(lambda: LogisticNoise(5), ((),), full=(0,), draws=True),
    "Decisions": Case(Decisions, ((2,), (3,)), full=(0,)),
    "PlaceGroups": Case(lambda: PlaceGroups([True, False, True])),
    "Zeros": Case(lambda: Zeros((None, None, 5))),
    "Network": Case(small_network, ((8, 8, 3),), full=(0, 1)),
    "Network, exits": Case(exits_network, ((8, 8, 3),), full=(0,)),
    "GatedClassifier": Case(
        lambda: GatedClassifier(exits_network(), target_rate=0.4, seed=3), ((8, 8, 3),)
    ),
}


def inputs_of(case, images=6):
    rng = np.random.default_rng(0)
    found = [rng.normal(size=(images, *shape)).astype("float32") for shape in case.shapes]
    return found[0] if len(found) == 1 else found


def built(case):
    """Returns a layer with weights that differ from one another."""
    layer, rng = case.make(), np.random.default_rng(1)
    layer(inputs_of(case))
    for weight in layer.weights:
        if "state" in weight.path:
            continue
        if len(weight.shape) > 1:
            spread = 1 / np.sqrt(np.prod(weight.shape[:-1]))
            weight.assign(rng.normal(0, spread, weight.shape))
        else:
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    return layer


def outputs(layer, case, **options):
    return keras.tree.flatten(layer(inputs_of(case), **options))


def assert_alike(ours, theirs):
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def test_every_layer_has_its_case():
    for folder in ("", "graph", "networks", "training", "export"):
        for path in (ROOT / "tfgates" / folder).glob("*.py"):
            name = pathlib.Path("tfgates", folder, path.stem).as_posix().replace("/", ".")
            importlib.import_module(name.removesuffix(".__init__"))
    registered = {
        found.__name__
        for name, found in keras.saving.get_custom_objects().items()
        if name.startswith("tfgates>") and issubclass(found, keras.layers.Layer)
    }
    assert {name.split(",")[0] for name in CASES} == registered


def test_a_layer_of_its_config_is_the_same(case):
    layer = built(case)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()
    again(inputs_of(case))
    again.set_weights(layer.get_weights())
    assert_alike(outputs(again, case), outputs(layer, case))


def test_a_saved_layer_is_the_same(case, tmp_path):
    layer = model = built(case)
    if not isinstance(layer, keras.Model):
        inputs = [keras.Input(shape) for shape in case.shapes]
        inputs = inputs[0] if len(inputs) == 1 else inputs
        model = keras.Model(inputs, layer(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert_alike(outputs(loaded, case), outputs(model, case))


def test_two_replicas_compute_what_one_does(case, mirrored):
    with mirrored.scope():
        layer = built(case)
    state = layer.get_weights()
    found = mirrored.run(lambda: outputs(layer, case))
    pairs = [mirrored.experimental_local_results(one) for one in found]
    # What is drawn moves the state on.
    layer.set_weights(state)
    for (first, second), expected in zip(pairs, outputs(layer, case), strict=True):
        np.testing.assert_allclose(first, expected, rtol=1e-5, atol=1e-5)
        assert np.array_equal(first, second) != case.draws


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_is_close_and_keeps_decisions_whole(case, precision):
    layer = built(case)
    # No decision on the verge of another one.
    takes_policy = isinstance(layer, (tfgates.Gated, tfgates.Network, GatedClassifier))
    policy = {"policy": Expected()} if takes_policy else {}
    exact = outputs(layer, case, **policy)
    keras.config.set_dtype_policy(precision)
    found = outputs(built(case), case, **policy)
    for index, (one, expected) in enumerate(zip(found, exact, strict=True)):
        dtype = "float32" if index in case.full else precision.removeprefix("mixed_")
        assert keras.backend.standardize_dtype(one.dtype) == dtype
        one, expected = (np.asarray(part, "float32") for part in (one, expected))
        np.testing.assert_allclose(one, expected, atol=0.03 * (1 + np.abs(expected).max()))
