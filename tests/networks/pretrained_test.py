"""A network started from TorchVision gives PyTorch's logits; what does not fit changes nothing."""

import functools
import hashlib
import pathlib

import keras
import numpy as np
import pytest
import safetensors.numpy
from examples import small_network
from saved import assert_unchanged, gate_weights, values
from torch_files import images, resnet_weights, write_zip

import tfgates
from tfgates.base.errors import UserError
from tfgates.graph.copying import named_layers
from tfgates.network import logits_and_decisions
from tfgates.networks import NETWORKS, pretrained
from tfgates.policies import AlwaysOpen
from tfgates.runs.init_from import initialize

FIXTURES = pathlib.Path(__file__).parent / "fixtures"


@pytest.fixture(scope="module")
def weights18():
    return resnet_weights(18)


@pytest.fixture(scope="module")
def file18(tmp_path_factory, weights18):
    path = tmp_path_factory.mktemp("torchvision") / "resnet18.safetensors"
    safetensors.numpy.save_file(weights18, path)
    return path


def resnet(depth, classes=1000, gate="dependent", size=32):
    plain = NETWORKS[f"resnet{depth}"](classes, input_shape=(size, size, 3))
    return plain if gate == "none" else tfgates.gate(plain, gate)


def resnet18(classes=1000):
    return resnet(18, classes)


@pytest.mark.parametrize(
    ("depth", "size", "suffix", "gate"),
    [(18, 111, ".pth", "none"), (50, 224, ".safetensors", "dependent")],
)
def test_logits_are_those_of_pytorch(tmp_path, depth, size, suffix, gate):
    path = tmp_path / f"resnet{depth}{suffix}"
    write = write_zip if suffix == ".pth" else lambda p, t: safetensors.numpy.save_file(t, p)
    write(path, resnet_weights(depth))
    network = resnet(depth, gate=gate, size=size)
    line = initialize(network, f"torchvision:{path}")
    logits, _ = logits_and_decisions(network(images(size), policy=AlwaysOpen()))
    expected = np.load(FIXTURES / "torchvision_logits.npz")[f"resnet{depth}_{size}"]
    # Other padding, strides or epsilon move a logit by 1e-3 to 7.
    np.testing.assert_allclose(logits, expected, atol=1e-4, rtol=0)
    count, fresh = {18: (102, "nothing"), 50: (267, "16 gates")}[depth]
    assert line == f"resnet{depth} starts from {count} tensors of {path}; fresh: {fresh}."


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_every_weight_has_its_tensor(depth):
    network = resnet(depth, 10, gate="none")
    table = pretrained.torchvision_table(network)
    variables = [variable for variable, _ in table.values()]
    assert {id(variable) for variable in variables} == {id(w) for w in network.weights}
    # A convolution and four of batch norm for each layer with weights, and the classifier.
    downsamples = 3 if depth in (18, 34) else 4
    assert len(table) == len(variables) == 5 * (depth - 1 + downsamples) + 2


def test_gates_stay_fresh_and_counters_may_be_absent(tmp_path, weights18):
    shipped = {n: a for n, a in weights18.items() if not n.endswith("num_batches_tracked")}
    safetensors.numpy.save_file(shipped, tmp_path / "shipped.safetensors")
    network = resnet18()
    before = gate_weights(network)
    line = initialize(network, f"torchvision:{tmp_path}/shipped.safetensors")
    assert line.endswith("fresh: 8 gates.")
    for weight, value in zip(gate_weights(network), before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_other_classes_leave_the_classifier_fresh(file18, weights18):
    network = resnet18(10)
    classifier = named_layers(network)["classifier"]
    before = values(classifier)
    line = initialize(network, f"torchvision:{file18}")
    assert line.endswith("fresh: 8 gates and the classifier (1000 classes there, 10 here).")
    assert_unchanged(classifier, before)
    kernel = weights18["conv1.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(named_layers(network)["stem_conv"].kernel, kernel)


def without(*names):
    return lambda tensors: [tensors.pop(name) for name in names]


def with_another(name, shape):
    return lambda tensors: tensors.update({name: np.zeros(shape, "float32")})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("layer2.0.downsample.0.weight"), "1 missing: layer2.0.downsample.0.weight. Name"),
        (without("bn1.bias", "fc.bias"), "2 missing: bn1.bias, fc.bias. Name"),
        (with_another("layer1.0.conv3.weight", 1), "1 unknown: layer1.0.conv3.weight"),
        (with_another("bn9.num_batches_tracked", 1), "1 unknown: bn9.num_batches_tracked"),
        (with_another("bn1.weight", 32), r"1 of another shape: bn1.weight \(32,\), not \(64,\)"),
        (with_another("conv1.weight", (64, 7, 7, 3)), r"\(64, 7, 7, 3\), not \(64, 3, 7, 7\)"),
        (with_another("fc.weight", (512, 1000)), r"fc.weight \(512, 1000\), not \(1000, 512\)"),
        (with_another("fc.bias", 10), r"1 of another shape: fc.bias \(10,\), not \(1000,\)"),
        (lambda tensors: tensors.clear(), "102 missing: conv1.weight, .*, .*, .*, ...\\. Name"),
    ],
)
def test_tensors_that_do_not_fit_are_named_and_nothing_changes(
    tmp_path, weights18, change, message
):
    tensors = dict(weights18)
    change(tensors)
    safetensors.numpy.save_file(tensors, tmp_path / "odd.safetensors")
    network = resnet18()
    before = values(network)
    with pytest.raises(UserError, match=message):
        initialize(network, f"torchvision:{tmp_path}/odd.safetensors")
    assert_unchanged(network, before)


def test_another_network_is_refused(file18):
    bottlenecks = resnet(50, 10)
    before = values(bottlenecks)
    with pytest.raises(UserError, match=r"resnet50: .* missing: layer1.0.*of another shape.*--net"):
        initialize(bottlenecks, f"torchvision:{file18}")
    assert_unchanged(bottlenecks, before)
    for value in (f"torchvision:{file18}", "imagenet"):
        with pytest.raises(UserError, match=r"resnet18, .*resnet152.*--network=cifar_resnet8"):
            initialize(small_network(), value)


def test_replicas_start_alike(mirrored, file18):
    with mirrored.scope():
        network = resnet18(10)
        initialize(network, f"torchvision:{file18}")
    one = resnet18(10)
    initialize(one, f"torchvision:{file18}")
    replicated = pretrained.torchvision_table(network)
    for name, (variable, _) in pretrained.torchvision_table(one).items():
        copies = mirrored.experimental_local_results(replicated[name][0].value)
        assert len(copies) == 2
        for copy in copies:
            if name not in pretrained.CLASSIFIER:
                np.testing.assert_array_equal(copy, variable, name)


def test_imagenet_reads_the_downloaded_file(monkeypatch, tmp_path, weights18):
    path = tmp_path / "download.pth"
    write_zip(path, weights18)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path = path.rename(tmp_path / f"resnet18-{digest[:8]}.pth")
    monkeypatch.setitem(pretrained.FILES, "resnet18", path.name)
    asked = []
    monkeypatch.setattr(
        keras.utils, "get_file", lambda *args, **kwargs: asked.append(args) or str(path)
    )
    network = resnet18()
    assert initialize(network, "imagenet").startswith("resnet18 starts from 102 tensors of")
    assert asked == [(path.name, f"https://download.pytorch.org/models/{path.name}")]
    np.testing.assert_array_equal(named_layers(network)["classifier"].bias, weights18["fc.bias"])


def test_a_damaged_download_is_refused_and_deleted(monkeypatch, tmp_path):
    path = tmp_path / "resnet18-f37072fd.pth"
    path.write_bytes(b"half")
    monkeypatch.setattr(keras.utils, "get_file", lambda *args, **kwargs: str(path))
    with pytest.raises(UserError, match=r"SHA-256 of resnet18-f37072fd.pth starts with f37072fd"):
        initialize(resnet18(), "imagenet")
    assert not path.exists()


def test_without_a_network_imagenet_names_the_file_to_download(monkeypatch, tmp_path):
    own_cache = functools.partial(keras.utils.get_file, cache_dir=tmp_path)
    monkeypatch.setattr(keras.utils, "get_file", own_cache)
    monkeypatch.setattr(pretrained, "ADDRESS", "http://localhost:9/models/")
    with pytest.raises(UserError, match=r"9/models/resnet18-f37072fd.pth by hand.*torchvision:"):
        initialize(resnet18(), "imagenet")
