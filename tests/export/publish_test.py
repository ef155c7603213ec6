"""A published version: complete, described, warmed up, and readable without this package."""

import json
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from disk import Disk
from examples import PREPROCESSING, ROOT, STATISTICS, gated, open_half, real_images
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2

from tfgates.base.errors import UserError
from tfgates.export import card, checksums, warmup
from tfgates.export.publish import publish
from tfgates.export.savedmodel import ServedModel
from tfgates.graph.count import count
from tfgates.graph.macs import of_gate
from tfgates.network import gates
from tfgates.networks.cifar_resnet import cifar_resnet
from tfgates.networks.resnet import resnet
from tfgates.report.card import of_export

LABELS = [f"class {index}" for index in range(10)]


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(3)
    network = gated(cifar_resnet(8, 10, statistics=STATISTICS), seed=3)
    images = [PREPROCESSING(image) for image in real_images(16, "validation")[0]]
    open_half(network, np.stack(images), seed=2)
    return network


def macs_of_live_gates(network):
    return [of_gate(layer.gate, None) for index, layer in enumerate(gates(network)) if index != 1]


@pytest.fixture(scope="module")
def model(network):
    return ServedModel(network, PREPROCESSING, LABELS, fixed={1: False})


@pytest.fixture(scope="module")
def published(network, model, tmp_path_factory):
    """Path of a version with all that the export tool adds."""
    trained = {"dataset": "my_set:1.0.0", "flags": {"seed": "1"}}
    measured = {"split": "test", "top1_error": 11.75, "top5_error": 0.35, "rate": 0.5}
    measured |= {"macs": 6.2e6, "macs_share": 0.5, "before_fixing": False}
    about = card.describe(model, network, trained, measured)
    extras = {
        "tfgates.json": card.as_json(about),
        "model_card.md": of_export(about).encode(),
        warmup.FILE: warmup.requests(32, tau=0.5),
    }
    return publish(model, tmp_path_factory.mktemp("export"), extras=extras)


def test_versions_count_on_and_appear_whole(model, tmp_path):
    (tmp_path / "9").mkdir()
    (tmp_path / "not a version").mkdir()
    assert publish(model, tmp_path) == tmp_path / "10"
    assert {path.name for path in tmp_path.iterdir()} == {"9", "10", "not a version"}


def test_a_version_is_on_the_disk_before_its_name_is(model, tmp_path, monkeypatch):
    disk = Disk(monkeypatch)
    publish(model, tmp_path)
    disk.assert_durable(tmp_path / "1")


def test_a_version_has_the_number_that_it_is_given_but_once(model, tmp_path):
    assert publish(model, tmp_path, version=7) == tmp_path / "7"
    with pytest.raises(UserError, match=r"7 exists already.*Choose another --version"):
        publish(model, tmp_path, version=7)
    assert [path.name for path in tmp_path.iterdir()] == ["7"]


def test_a_folder_that_cannot_be_written_is_named(model, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file"):
        publish(model, tmp_path / "file" / "export")


def test_labels_are_an_asset(published):
    assert (published / "assets" / "labels.txt").read_text().splitlines() == LABELS
    content = (published / "saved_model.pb").read_bytes()
    (asset,) = saved_model_pb2.SavedModel.FromString(content).meta_graphs[0].asset_file_def
    assert asset.filename == "labels.txt"


def test_the_description_counts_what_can_run(published, network):
    about = json.loads((published / "assets.extra" / "tfgates.json").read_text())
    counted = count(network)
    assert about["macs"]["full"] == counted.ungated
    assert about["macs"]["always"] == counted.always + sum(macs_of_live_gates(network))
    assert about["macs"]["branches"] == [counted.branches[0], counted.branches[2]]
    assert about["fixed_gates"] == {"1": False}
    assert about["labels"] == LABELS
    assert about["preprocessing"] == {"size": 32, "resize": "square"}


def test_the_model_card_is_filled_in(published, network):
    text = (published / "assets.extra" / "model_card.md").read_text()
    counted = count(network)
    assert "3, of which 0 are open and 1 closed for good" in text
    least = (counted.always + sum(macs_of_live_gates(network))) / 1e6
    assert f"{least:,.2f} M at least, {counted.ungated / 1e6:,.2f} M with every branch" in text
    assert "11.75 %, 0.35 % on the test images" in text
    assert "6.20 M, 50.0 % of every branch" in text
    assert "{" not in text


def test_an_unmeasured_threshold_is_said_to_be(model, network):
    about = card.describe(model, network, {"dataset": "x", "flags": {}}, None)
    assert "not measured at this tau" in of_export(about)


def test_warm_up_requests_are_of_every_signature_and_are_answered(published):
    signatures = tf.saved_model.load(str(published)).signatures
    path = published / "assets.extra" / "tf_serving_warmup_requests"
    sizes = []
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        request = getattr(log, log.WhichOneof("log_type")).request
        signature = request.model_spec.signature_name
        if signature == "classify":
            examples = request.input.example_list.examples
            inputs = {"inputs": tf.constant([one.SerializeToString() for one in examples])}
        else:
            assert not request.output_filter
            inputs = {name: tf.constant(tf.make_ndarray(x)) for name, x in request.inputs.items()}
        answer = signatures[signature](**inputs)
        assert not set(answer.get("status", tf.constant(["OK"])).numpy()) - {b"OK"}
        assert (answer["scores"].numpy() > 0).all()
        sizes.append((signature, len(answer["scores"])))
    assert sorted(sizes) == [(name, count) for name in sorted(signatures) for count in (1, 8)]


DAMAGES = {
    "a bit of the graph": ("saved_model.pb", lambda content: flipped(content, len(content) // 2)),
    "half a graph": ("saved_model.pb", lambda content: content[: len(content) // 2]),
    "a label": ("assets/labels.txt", lambda content: flipped(content, 3)),
    "the checksums": ("assets.extra/sha256sums.txt", lambda content: flipped(content, 3)),
    "other checksums": ("assets.extra/sha256sums.txt", lambda content: b"\xff\n"),
    "no checksums": ("assets.extra/sha256sums.txt", lambda content: b""),
}


def flipped(content, position):
    return content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]


@pytest.mark.parametrize(("name", "damage"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_version_is_refused(published, tmp_path, name, damage):
    version = shutil.copytree(published, tmp_path / "1")
    checksums.verify(version)
    file = version / name
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(UserError, match="is not what was exported"):
        checksums.verify(version)


def test_checksums_are_those_of_sha256sum_and_need_not_be_there(published, tmp_path):
    version = shutil.copytree(published, tmp_path / "1")
    command = ["sha256sum", "--check", "--strict", "assets.extra/sha256sums.txt"]
    checked = subprocess.run(command, cwd=version, capture_output=True, text=True, check=True)
    assert "saved_model.pb: OK" in checked.stdout
    (version / "assets.extra/sha256sums.txt").unlink()
    checksums.verify(version)


def test_it_runs_in_the_c_api_without_python_tensorflow(published, tmp_path):
    """The C++ loader of the wheel is the one of TensorFlow Serving."""
    images = [*real_images(5, "test")[0], b"no image"]
    paths = [tmp_path / str(index) for index in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        path.write_bytes(image)
    content = (published / "saved_model.pb").read_bytes()
    definition = saved_model_pb2.SavedModel.FromString(content).meta_graphs[0].signature_def
    signature = definition["serving_default"]
    names = ("classes", "scores", "gates", "macs", "status")
    asked = {
        "model": str(published),
        "images": list(map(str, paths)),
        "input": signature.inputs["image_bytes"].name,
        "outputs": {name: signature.outputs[name].name for name in names},
    }
    finished = subprocess.run(
        [sys.executable, ROOT / "tests/helpers/c_api.py"],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    answer = json.loads(finished.stdout)
    loaded = tf.saved_model.load(str(published))
    expected = loaded.signatures["serving_default"](image_bytes=tf.constant(images))
    for name in names:
        values = expected[name].numpy()
        if values.dtype == object:
            assert np.array(answer[name]).astype("S").tolist() == values.astype("S").tolist()
        else:
            np.testing.assert_allclose(answer[name], values, rtol=1e-5)
    assert answer["status"][0] == "OK"
    assert answer["status"][5].startswith("INVALID_ARGUMENT")


def test_saved_model_cli_shows_and_runs_it(published, tmp_path):
    def cli(*arguments):
        command = [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli", *arguments]
        finished = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert finished.returncode == 0, finished.stderr
        return finished.stdout

    shown = cli("show", "--dir", str(published), "--all")
    for name in ("serving_default", "predict_tau", "predict_images", "classify"):
        assert f"signature_def['{name}']" in shown
    images = np.stack([PREPROCESSING(image) for image in real_images(2, "test")[0]])
    np.save(tmp_path / "images.npy", images)
    cli(
        *("run", "--dir", str(published), "--tag_set", "serve"),
        *("--signature_def", "predict_images", "--inputs", f"images={tmp_path / 'images.npy'}"),
        *("--outdir", str(tmp_path)),
    )
    loaded = tf.saved_model.load(str(published))
    expected = loaded.signatures["predict_images"](images=tf.constant(images))
    np.testing.assert_allclose(np.load(tmp_path / "scores.npy"), expected["scores"], rtol=1e-5)


@pytest.mark.parametrize("weights", ["const", "variables"])
def test_the_file_is_the_size_of_its_weights(weights, tmp_path):
    """A branch that is closed for good is not among them, and no weight is there twice."""
    network = gated(resnet(18, 10, input_shape=(32, 32, 3)))
    model = ServedModel(network, PREPROCESSING, LABELS, weights=weights, fixed={7: False})
    version = publish(model, tmp_path)
    size = sum(path.stat().st_size for path in version.rglob("*") if path.is_file())
    removed = gates(network)[7].count_params()
    needed = 4 * (network.count_params() - removed)
    assert needed < size < 1.05 * needed
