"""--network=run:PATH: the network of another run, trained further; what does not fit is refused."""

import keras
import numpy as np
import pytest
from examples import own_lines, randomize, small_network, train_settings
from processes import forked
from saved import run

import tfgates
from tfgates.base.errors import UserError
from tfgates.graph.copying import named_layers
from tfgates.graph.pruning import prune
from tfgates.network import gates, logits_and_decisions
from tfgates.networks.cifar_resnet import cifar_resnet
from tfgates.policies import Threshold
from tfgates.runs import another_run
from tfgates.runs.folder import RunFolder
from tfgates.runs.init_from import initialize

IMAGES = np.random.default_rng(0).random((4, 8, 8, 3), "float32")
STATISTICS = ((0.2, 0.2, 0.2), (0.3, 0.3, 0.3))


def network(seed=7):
    plain = cifar_resnet(8, 10, input_shape=(8, 8, 3), statistics=STATISTICS)
    return tfgates.gate(plain, seed=seed)


def answers(model, **options):
    return logits_and_decisions(model(IMAGES, **options))


def settings(folder, *flags):
    return train_settings(f"--network=run:{folder}", "--image_size=8", *flags)


def test_it_is_the_same_network_with_the_noise_of_the_seed(tmp_path):
    source = prune(randomize(network()), {0: False, 1: False})
    source(IMAGES, training=True)
    loaded = another_run.load(settings(run(tmp_path / "a", source), "--seed=3"), False)
    (left,) = gates(loaded)
    assert left.name == "block_02"
    own, theirs = (answers(one, policy=Threshold()) for one in (loaded, source))
    for ours, expected in zip(own, theirs, strict=True):
        np.testing.assert_array_equal(ours, expected)
    # As of a network of one gate that is built with this seed.
    (seed,) = np.random.SeedSequence(3).generate_state(1) >> 1
    np.testing.assert_array_equal(left.noise.state, [seed, 0])


def test_fresh_weights_keep_the_blocks_and_follow_the_seed(tmp_path):
    source = prune(randomize(network()), {0: False, 1: True})
    folder = run(tmp_path / "a", source)

    def fresh(seed):
        keras.utils.set_random_seed(seed)
        return another_run.load(settings(folder, "--fresh_weights", f"--seed={seed}"), False)

    first, again, other = fresh(3), fresh(3), fresh(4)
    assert [one.name for one in gates(first)] == [one.name for one in gates(source)]
    assert [w.shape for w in first.weights] == [w.shape for w in source.weights]
    np.testing.assert_array_equal(answers(first)[0], answers(again)[0])
    kernels = [
        [w.numpy() for w in one.trainable_weights if len(w.shape) == 4]
        for one in (first, other, source)
    ]
    for own, others, theirs in zip(*kernels, strict=True):
        assert abs(np.corrcoef(own.ravel(), others.ravel())[0, 1]) < 0.2
        assert abs(np.corrcoef(own.ravel(), theirs.ravel())[0, 1]) < 0.2
    with pytest.raises(UserError, match="fresh_weights belongs to --network=run"):
        train_settings("--fresh_weights")


@pytest.mark.parametrize("saved", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_precision_is_that_of_a_network_built_anew(tmp_path, saved, precision):
    keras.config.set_dtype_policy(saved)
    folder = run(tmp_path / "a", randomize(network()))
    keras.config.set_dtype_policy(precision)
    loaded, built = another_run.load(settings(folder), False), network()

    def policies(model):
        return [(type(layer), layer.dtype_policy.name) for layer in model._flatten_layers()]

    assert policies(loaded) == policies(built)
    built.set_weights(loaded.get_weights())
    np.testing.assert_array_equal(answers(loaded)[0], answers(built)[0])


def test_on_replicas_batch_norm_is_synchronized(tmp_path, mirrored):
    folder = run(tmp_path / "a", network())
    with mirrored.scope():
        loaded = another_run.load(settings(folder), True)
    norms = [
        layer
        for layer in loaded._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    # Of the stem, two in each of three blocks and gates, two projections.
    assert len(norms) == 1 + 3 * 3 + 2
    assert all(norm.synchronized for norm in norms)
    source = RunFolder(folder).load_classifier().network
    own, theirs = (named_layers(one)["stem_conv"].kernel for one in (loaded, source))
    np.testing.assert_array_equal(own, theirs)


@pytest.mark.parametrize(
    "flags",
    [["--init_from=runs/a"], ["--branch_targets=1,t,t"], ["--statistics=imagenet"]],
)
def test_what_the_network_brings_is_refused_by_name(flags):
    with pytest.raises(UserError, match=f"brings its own.*Received: {flags[0]}"):
        settings("runs/a", *flags)


def test_what_does_not_fit_is_refused_by_name(copied_run, tmp_path):
    name, output = f"--network=run:{copied_run.path}", f"--output_dir={tmp_path / 'b'}"

    def check(*flags, num_classes=10):
        another_run.check(train_settings(name, output, *flags), num_classes)

    check()
    for flags, message in [
        (["--image_size=16"], "--image_size=32.*Received: --image_size=16"),
        (["--gate=none"], "--gate=dependent.*Received: --gate=none"),
        ([f"--output_dir={copied_run.path}/../run"], "another folder"),
        (["--network=run:"], "run:runs/NAME"),
        (["--network=run:runs/missing"], "run:runs/NAME"),
        ([f"--network=run:{tmp_path}"], "holds no finished run"),
    ]:
        with pytest.raises(UserError, match=message):
            check(*flags)
    with pytest.raises(UserError, match=r"10 classes.*with 7"):
        check(num_classes=7)


def test_a_pruned_run_is_no_init_from(tmp_path):
    folder = run(tmp_path / "a", prune(small_network(), {1: False}))
    with pytest.raises(UserError, match="--network=run:"):
        initialize(small_network(), folder)


def test_an_unknown_network_is_named(tmp_path):
    refused = forked("train.py", "--network=alexnet", f"--output_dir={tmp_path}")
    assert refused.returncode == 2
    line = own_lines(refused.stderr)[-1]
    assert "alexnet" in line
    assert "cifar_resnet20, " in line
    assert "run:PATH" in line
