"""The exported graph: equal to the Keras network, closed blocks not executed, no randomness."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from examples import PREPROCESSING, STATISTICS, open_half, operations, randomize, real_images
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from tfgates import costs
from tfgates.errors import UserError
from tfgates.export.fold import fold
from tfgates.export.savedmodel import ServedModel, publish
from tfgates.networks.cifar_resnet import cifar_resnet
from tfgates.policies import Threshold

LABELS = [f"class {index}" for index in range(10)]
TAUS = [0.01, 0.3, 0.5, 0.7, 0.99]


class Exported:
    """A network of six blocks beside its export, which answers with all ten classes."""

    def __init__(self, folder, gate):
        self.network = randomize(
            cifar_resnet(14, 10, gate=gate, seed=3, statistics=STATISTICS), seed=2
        )
        if gate == "dependent":
            images = [PREPROCESSING(image) for image in real_images(64, "validation")[0]]
            open_half(self.network, np.stack(images), seed=2)
        model = ServedModel(self.network, PREPROCESSING, LABELS, top_k=10)
        self.path = publish(model, folder)
        self.loaded = tf.saved_model.load(str(self.path))

    def answer(self, signature, **inputs):
        outputs = self.loaded.signatures[signature](**inputs)
        return {name: value.numpy() for name, value in outputs.items()}

    def masked(self, encoded, policy):
        """Probabilities and decisions of the Keras network, which computes every branch."""
        images = np.stack([PREPROCESSING(image) for image in encoded])
        logits, decisions = self.network(images, policy=policy)
        return tf.nn.softmax(logits).numpy(), decisions.numpy()


@pytest.fixture(scope="module", params=["dependent", "independent", "none"])
def exported(request, tmp_path_factory):
    return Exported(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def dependent(tmp_path_factory):
    return Exported(tmp_path_factory.mktemp("dependent"), "dependent")


def scores_by_class(answer):
    scores = np.zeros_like(answer["scores"])
    np.put_along_axis(scores, answer["class_ids"], answer["scores"], axis=1)
    return scores


@pytest.mark.parametrize("batch", [1, 7, 32])
def test_skipped_equals_masked(exported, batch):
    encoded = real_images(batch, "test")[0]
    for tau in TAUS:
        answer = exported.answer(
            "predict_tau", image_bytes=tf.constant(encoded), tau=tf.fill([batch], tau)
        )
        probabilities, decisions = exported.masked(encoded, Threshold(tau))
        np.testing.assert_allclose(scores_by_class(answer), probabilities, atol=1e-5)
        np.testing.assert_array_equal(answer["gates"], decisions > 0.5)
        counted = costs.count(exported.network, (32, 32, 3)).executed(decisions)
        np.testing.assert_allclose(answer["macs"], counted, rtol=1e-6)
        assert set(answer["status"]) == {b"OK"}


def test_gates_of_the_test_network_differ_between_images(dependent):
    """Otherwise the comparison with the masked network would show little."""
    encoded = real_images(32, "test")[0]
    decisions = dependent.masked(encoded, Threshold(0.5))[1]
    assert 0.2 < decisions.mean() < 0.8
    assert len(np.unique(decisions, axis=0)) >= 4


def test_each_image_has_its_own_tau_from_all_closed_to_all_open(dependent):
    encoded = real_images(6, "test")[0]
    tau = np.array([1e-7, 1 - 1e-7, 0.3, 0.5, 0.7, 0.99], "float32")
    answer = dependent.answer("predict_tau", image_bytes=tf.constant(encoded), tau=tf.constant(tau))
    assert answer["gates"][0].all()
    assert not answer["gates"][1].any()
    for index, image in enumerate(encoded):
        probabilities, decisions = dependent.masked([image], Threshold(tf.constant(tau[index])))
        np.testing.assert_allclose(
            scores_by_class(answer)[index], probabilities[0], atol=1e-5, err_msg=str(index)
        )
        np.testing.assert_array_equal(answer["gates"][index], decisions[0] > 0.5)


def executed_convolutions(exported, encoded, tau, folder):
    """Counts the convolutions that ran during an answer, by TensorFlow's profiler."""
    encoded, tau = tf.constant(encoded), tf.fill([len(encoded)], tau)
    exported.answer("predict_tau", image_bytes=encoded, tau=tau)
    with tf.profiler.experimental.Profile(str(folder)):
        exported.answer("predict_tau", image_bytes=encoded, tau=tau)
    (path,) = folder.rglob("*.xplane.pb")
    names = [
        plane.event_metadata[event.metadata_id].name
        for plane in xplane_pb2.XSpace.FromString(path.read_bytes()).planes
        for line in plane.lines
        for event in line.events
    ]
    # An event of an operation is called name:type, as map/while/cond/Relu:_MklNativeFusedConv2D.
    return sum("Conv2D" in name.rpartition(":")[2] for name in names)


def test_a_closed_block_runs_no_convolution(dependent, tmp_path):
    encoded = list(real_images(7, "test")[0])

    def executed(tau):
        return executed_convolutions(dependent, encoded, tau, tmp_path / str(tau))

    # Per image: the stem, two shortcuts, and two convolutions for each open branch.
    assert executed(1 - 1e-7) == 7 * 3
    assert executed(1e-7) == 7 * (3 + 6 * 2)
    opened = int(dependent.masked(encoded, Threshold(0.5))[1].sum())
    assert 0 < opened < 7 * 6
    assert executed(0.5) == 7 * 3 + 2 * opened


def test_no_operation_is_random(exported):
    content = (exported.path / "saved_model.pb").read_bytes()
    found = operations(saved_model_pb2.SavedModel.FromString(content).meta_graphs[0].graph_def)
    assert "Conv2D" in found
    assert not [op for op in found if "random" in op.lower() or "rng" in op.lower()]


def test_answers_repeat(dependent):
    encoded = tf.constant(real_images(8, "test")[0])
    first, second = (dependent.answer("serving_default", image_bytes=encoded) for _ in range(2))
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name])


def test_weights_stand_in_the_file_once(exported):
    weights = sum(int(np.prod(weight.shape)) for weight in exported.network.weights)
    # The graph itself takes about 0.3 MB, whatever the size of the network.
    assert (exported.path / "saved_model.pb").stat().st_size < 4 * weights + 400_000


def test_signatures_agree(dependent):
    encoded = list(real_images(5, "test")[0])
    by_default = dependent.answer("serving_default", image_bytes=tf.constant(encoded))
    pixels = np.stack([PREPROCESSING(image) for image in encoded])
    examples = [
        tf.train.Example(
            features=tf.train.Features(
                feature={
                    "image_bytes": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image]))
                }
            )
        ).SerializeToString()
        for image in encoded
    ]
    at_half = dependent.answer(
        "predict_tau", image_bytes=tf.constant(encoded), tau=tf.fill([5], 0.5)
    )
    of_pixels = dependent.answer("predict_images", images=tf.constant(pixels))
    classified = dependent.answer("classify", inputs=tf.constant(examples))
    assert set(classified) == {"classes", "scores"}
    for other in (at_half, of_pixels, classified):
        for name, values in other.items():
            np.testing.assert_array_equal(values, by_default[name], err_msg=name)
    expected = np.array(LABELS)[by_default["class_ids"]].astype("S")
    np.testing.assert_array_equal(by_default["classes"].astype("S"), expected)


def test_one_broken_image_leaves_the_others_alone(dependent):
    encoded = list(real_images(8, "test")[0])
    whole = dependent.answer("serving_default", image_bytes=tf.constant(encoded))
    for broken in (b"just some text", b"", encoded[3][:60]):
        some = dependent.answer(
            "serving_default", image_bytes=tf.constant([*encoded[:3], broken, *encoded[4:]])
        )
        assert some["status"][3].startswith(b"INVALID_ARGUMENT")
        assert some["macs"][3] == 0
        assert set(some["classes"][3]) == {b""}
        others = [0, 1, 2, 4, 5, 6, 7]
        for name in whole:
            np.testing.assert_array_equal(some[name][others], whole[name][others])


def test_all_images_broken_and_no_image_at_all(dependent):
    broken = dependent.answer("serving_default", image_bytes=tf.constant([b"x", b"y"]))
    assert [status[:16] for status in broken["status"]] == [b"INVALID_ARGUMENT"] * 2
    empty = dependent.answer("serving_default", image_bytes=tf.constant([], tf.string))
    assert {name: len(values) for name, values in empty.items()} == dict.fromkeys(empty, 0)


@pytest.mark.parametrize("tau", [0.0, 1.0, 40.0, -1.0, float("nan")])
def test_a_tau_outside_of_0_and_1_has_its_own_status(dependent, tau):
    encoded = tf.constant(real_images(2, "test")[0])
    answer = dependent.answer("predict_tau", image_bytes=encoded, tau=tf.constant([0.5, tau]))
    assert answer["status"][0] == b"OK"
    assert b"tau is a probability in (0, 1)" in answer["status"][1]
    assert answer["macs"][1] == 0


def test_as_many_taus_as_images(dependent):
    with pytest.raises(tf.errors.InvalidArgumentError, match="one number for each image"):
        dependent.answer(
            "predict_tau",
            image_bytes=tf.constant(real_images(2, "test")[0]),
            tau=tf.constant([0.5]),
        )


@pytest.mark.parametrize("value", [-1.0, 255.5, float("nan"), float("inf")])
def test_pixels_out_of_range_have_their_own_status(dependent, value):
    images = np.full((2, 32, 32, 3), 128.0, "float32")
    images[1, 0, 0, 0] = value
    answer = dependent.answer("predict_images", images=tf.constant(images))
    assert answer["status"][0] == b"OK"
    assert b"pixels are finite numbers in [0, 255]" in answer["status"][1]


def test_a_fixed_tau_and_fewer_classes(tmp_path):
    network = randomize(cifar_resnet(8, 10, seed=3, statistics=STATISTICS))
    model = ServedModel(network, PREPROCESSING, LABELS, tau=1e-6, top_k=3)
    assert publish(model, tmp_path).name == "1"
    answer = model.predict(tf.constant(real_images(2)[0]))
    assert answer["scores"].shape == (2, 3)
    assert answer["gates"].numpy().all()


def test_versions_count_on_and_appear_whole(dependent, tmp_path):
    (tmp_path / "9").mkdir()
    (tmp_path / "not a version").mkdir()
    model = ServedModel(cifar_resnet(8, 10), PREPROCESSING, LABELS)
    assert publish(model, tmp_path) == tmp_path / "10"
    assert {path.name for path in tmp_path.iterdir()} == {"9", "10", "not a version"}


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    model = ServedModel(cifar_resnet(8, 10), PREPROCESSING, LABELS)
    with pytest.raises(UserError, match="file"):
        publish(model, tmp_path / "file" / "export")


@pytest.mark.parametrize(
    "arguments", [{"tau": 1.5}, {"tau": 1 - 1e-12}, {"tau": 1e-60}, {"top_k": 0}]
)
def test_bad_arguments_are_refused(arguments):
    (name,) = arguments
    with pytest.raises(ValueError, match=f"`{name}`"):
        ServedModel(cifar_resnet(8, 10), PREPROCESSING, LABELS, **arguments)


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.Conv2D(4, 3, activation="relu"),
        keras.layers.Conv2D(4, 3, dilation_rate=2),
        keras.layers.ReLU(max_value=6.0),
        keras.layers.ReLU(negative_slope=0.1),
        keras.layers.Dense(4, activation="softmax"),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.5),
    ],
)
def test_a_layer_that_would_fold_to_wrong_numbers_is_refused(layer):
    layer.build((None, 8, 8, 3))
    with pytest.raises(TypeError, match="Export folds"):
        fold([layer])


def test_labels_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"10.*Received: 3"):
        ServedModel(cifar_resnet(8, 10), PREPROCESSING, ["a", "b", "c"])
