"""What a served model answers: each image on its own, in every signature alike."""

import numpy as np
import pytest
import tensorflow as tf
from examples import PREPROCESSING, STATISTICS, gated, randomize, real_images
from export_fixtures import LABELS, example

from tfgates.export.publish import publish
from tfgates.export.savedmodel import ServedModel
from tfgates.networks.cifar_resnet import cifar_resnet

pytest_plugins = ["export_fixtures"]


def test_signatures_agree(dependent):
    encoded = list(real_images(5, "test")[0])
    by_default = dependent.answer("serving_default", image_bytes=tf.constant(encoded))
    pixels = np.stack([PREPROCESSING(image) for image in encoded])
    examples = [example(image) for image in encoded]
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
    network = randomize(gated(cifar_resnet(8, 10, statistics=STATISTICS), seed=3))
    model = ServedModel(network, PREPROCESSING, LABELS, tau=1e-6, top_k=3)
    assert publish(model, tmp_path).name == "1"
    answer = model.predict(tf.constant(real_images(2)[0]))
    assert answer["scores"].shape == (2, 3)
    assert answer["gates"].numpy().all()


@pytest.mark.parametrize(
    "arguments", [{"tau": 1.5}, {"tau": 1 - 1e-12}, {"tau": 1e-60}, {"top_k": 0}]
)
def test_bad_arguments_are_refused(arguments):
    (name,) = arguments
    with pytest.raises(ValueError, match=f"`{name}`"):
        ServedModel(cifar_resnet(8, 10), PREPROCESSING, LABELS, **arguments)


def test_labels_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"10.*Received: 3"):
        ServedModel(cifar_resnet(8, 10), PREPROCESSING, ["a", "b", "c"])


def test_64_images_get_the_same_answers_however_they_are_sent(skips):
    """One by one, in batches, among corrupt ones, through every signature."""
    encoded = list(real_images(64, "test")[0])
    pixels = np.stack([PREPROCESSING(image) for image in encoded])
    together = skips.answer("serving_default", image_bytes=tf.constant(encoded))
    corrupt = [b"", b"text", encoded[0][:40]]
    among = [*corrupt, *encoded[:30], *corrupt, *encoded[30:], *corrupt]
    good = [*range(3, 33), *range(36, 70)]
    half = tf.fill([64], 0.5)

    def in_batches(signature, size, **inputs):
        parts = [
            skips.answer(signature, **{name: x[first : first + size] for name, x in inputs.items()})
            for first in range(0, 64, size)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    texts = tf.constant(encoded)
    mixed = skips.answer("serving_default", image_bytes=tf.constant(among))
    assert (mixed["status"] == b"OK").tolist() == [index in good for index in range(73)]
    answers = [
        in_batches("serving_default", 1, image_bytes=texts),
        in_batches("serving_default", 7, image_bytes=texts),
        {name: values[good] for name, values in mixed.items()},
        in_batches("predict_tau", 32, image_bytes=texts, tau=half),
        in_batches("predict_images", 16, images=tf.constant(pixels)),
        in_batches("classify", 64, inputs=tf.constant([example(image) for image in encoded])),
    ]
    for answer in answers:
        np.testing.assert_array_equal(answer["classes"], together["classes"])
        np.testing.assert_allclose(answer["scores"], together["scores"], atol=1e-5)


def test_a_higher_tau_never_runs_more(skips):
    encoded = tf.constant(real_images(64, "test")[0])
    taus = [1e-6, 0.1, 0.3, 0.5, 0.7, 0.9, 1 - 1e-6]
    macs = np.stack(
        [
            skips.answer("predict_tau", image_bytes=encoded, tau=tf.fill([64], tau))["macs"]
            for tau in taus
        ]
    )
    # The mean falls; a single image may run more, where an earlier block changes what a gate sees.
    assert (np.diff(macs.mean(1)) < 0).all()
    np.testing.assert_allclose(macs[0], skips.model.always + sum(skips.model.left.branches))
    np.testing.assert_allclose(macs[-1], skips.model.always)
