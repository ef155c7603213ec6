"""The networks of benchmarks/cifar10.py against NumPy, and its verdicts on rows that are known."""

import math

import numpy as np
import pytest
import safetensors.numpy

import tfgates
from benchmarks import cifar_verdicts, student
from benchmarks.cifar_networks import load, zero_padded_resnet
from tfgates.base.errors import UserError

WIDTHS = (16, 32, 64)


def weights(blocks, seed=0):
    """Tensors of a file, by name, of a network with so many blocks in each stage."""
    rng = np.random.default_rng(seed)
    found = {}

    def convolution(conv, norm, before, width):
        kernel = rng.normal(0, (2 / (9 * width)) ** 0.5, (width, before, 3, 3))
        found[f"{conv}.weight"] = kernel
        for part, low, high in (("weight", 0.5, 1.5), ("running_var", 0.5, 1.5)):
            found[f"{norm}.{part}"] = rng.uniform(low, high, width)
        for part in ("bias", "running_mean"):
            found[f"{norm}.{part}"] = rng.normal(0, 0.2, width)

    convolution("conv1", "bn1", 3, 16)
    before = 16
    for stage, width in enumerate(WIDTHS, 1):
        for index in range(blocks):
            place = f"layer{stage}.{index}."
            convolution(f"{place}conv1", f"{place}bn1", before, width)
            convolution(f"{place}conv2", f"{place}bn2", width, width)
            before = width
    found["linear.weight"] = rng.normal(0, 0.1, (10, 64))
    found["linear.bias"] = rng.normal(0, 0.1, 10)
    return {name: value.astype("float32") for name, value in found.items()}


def by_hand(tensors, blocks, images):
    """Logits as the description of the file says, channels first, in NumPy."""

    def convolved(x, conv, norm, stride=1):
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        views = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
        views = views[:, :, ::stride, ::stride]
        y = np.einsum("bihwkl,oikl->bohw", views, tensors[f"{conv}.weight"])
        part = {name: tensors[f"{norm}.{name}"][:, None, None] for name in PARTS}
        scale = part["weight"] / np.sqrt(part["running_var"] + 1e-5)
        return (y - part["running_mean"]) * scale + part["bias"]

    x = np.maximum(convolved(images.transpose(0, 3, 1, 2), "conv1", "bn1"), 0)
    for stage, width in enumerate(WIDTHS, 1):
        for index in range(blocks):
            place, more = f"layer{stage}.{index}.", width - x.shape[1]
            y = convolved(x, f"{place}conv1", f"{place}bn1", 2 if more else 1)
            y = convolved(np.maximum(y, 0), f"{place}conv2", f"{place}bn2")
            if more:
                zeros = ((0, 0), (more // 2, more // 2), (0, 0), (0, 0))
                x = np.pad(x[:, :, ::2, ::2], zeros)
            x = np.maximum(x + y, 0)
    return x.mean(axis=(2, 3)) @ tensors["linear.weight"].T + tensors["linear.bias"]


PARTS = ("weight", "bias", "running_mean", "running_var")


@pytest.mark.parametrize("blocks", [1, 2])
def test_logits_are_those_of_the_description_of_the_file(tmp_path, blocks):
    """A file of two blocks a stage also serves the network of the first one of each."""
    tensors = weights(2)
    path = tmp_path / "resnet14.safetensors"
    safetensors.numpy.save_file(tensors, path)
    model = zero_padded_resnet(6 * blocks + 2)
    load(model, path)
    images = np.random.default_rng(1).normal(size=(2, 32, 32, 3)).astype("float32")
    expected = by_hand(tensors, blocks, images)
    np.testing.assert_allclose(model(images), expected, atol=1e-4, rtol=1e-4)
    network = tfgates.gate(model, seed=1)
    assert [branch.name for branch in tfgates.branches(model)] == [
        f"block_{index:02d}" for index in range(3 * blocks)
    ]
    opened = network(images, policy=tfgates.AlwaysOpen())["logits"]
    np.testing.assert_allclose(opened, expected, atol=1e-4, rtol=1e-4)


def test_multiply_adds_are_those_of_the_paper():
    assert tfgates.count(zero_padded_resnet(20)).ungated == 40_551_040
    assert tfgates.count(zero_padded_resnet(32)).ungated == 68_862_592


def test_a_file_of_another_network_is_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    for damage, message in (
        ({"fc.weight": np.zeros((10, 64), "float32")}, "it has fc.weight"),
        ({"linear.bias": np.zeros(9, "float32")}, r"classifier .*\(9,\)"),
    ):
        safetensors.numpy.save_file({**weights(1), **damage}, path)
        with pytest.raises(UserError, match=message):
            load(zero_padded_resnet(8), path)
    safetensors.numpy.save_file(weights(1), path)
    with pytest.raises(UserError, match=r"no layer1\.1\.conv1\.weight"):
        load(zero_padded_resnet(14), path)


def row(arm, target, seed, macs, error, teacher=0):
    calibrated = {"calibrated_macs": macs, "calibrated_error": error}
    half = {"macs": 1.1 * macs, "top1_error": error + 0.1}
    validation = {"validation_macs": macs, "validation_error": error}
    labels = {"arm": arm, "target": target, "teacher": teacher, "seed": seed}
    return {**labels, **calibrated, **half, **validation}


def rows(differences, teacher=0):
    """Plain networks on a line, and gated ones beside it by a difference for each seed."""
    found = []
    for seed, difference in enumerate(differences):
        for arm, macs in (("plain 20", 40e6), ("plain 32", 70e6)):
            found.append(row(arm, "", seed, macs, 12 - macs / 2e7 + seed, teacher))
        found.append(row("dependent", "0.6", seed, 50e6, 9.5 + seed + difference, teacher))
    return found


def test_the_measure_is_the_error_beside_the_plain_line_of_the_same_seed_and_teacher():
    some = rows([-0.4, -0.5]) + rows([0.2, 0.1], teacher=56)
    gated = [one for one in some if one["arm"] == "dependent"]
    found = [cifar_verdicts.excess(one, some) for one in gated]
    assert found == pytest.approx([-0.4, -0.5, 0.2, 0.1])
    taught, alone = sorted(cifar_verdicts.verdicts(some), reverse=True)
    # Two cells of two seeds: the variances are 0.005 each, of one degree of freedom each.
    half = 4.303 * 0.005**0.5 / 2**0.5
    assert alone[:4] == ("dependent", "0.6", "", "-0.45")
    assert alone[4] == f"{-0.45 - half:+.2f} to {-0.45 + half:+.2f}"
    assert alone[6] == "pays"
    assert taught[2:4] == ("ResNet-56", "+0.15")
    assert taught[6] == "open"
    # 0.45 less than 9.5, where the network with all blocks is at 8.5; 50 of 42 M.
    assert alone[7:] == ("+0.55", "1.190")
    assert len(cifar_verdicts.lines(some)) == 6


def test_points_of_the_picture_are_those_at_the_calibrated_threshold():
    one, _, gated = rows([-0.4], teacher=56)
    found = cifar_verdicts.points([one, gated])
    assert found == [
        {"gates": "plain, teacher", "target": "ResNet-20", "macs": 40e6, "top1_error": 10.0},
        {"gates": "dependent, teacher", "target": "0.6", "macs": 50e6, "top1_error": 9.1},
    ]


def test_the_same_in_time():
    some = rows([-0.4, -0.5])
    times = {}
    for one in some:
        one["run"] = f"{one['arm']},seed={one['seed']}"
        # A gated network of 50 M takes as long as a plain one of 60 M, at batch 32 as one of 50.
        gated = one["arm"] == "dependent"
        times[one["run"], 1] = 6.0 if gated else one["calibrated_macs"] / 1e7
        times[one["run"], 32] = one["calibrated_macs"] / 1e8
    found = cifar_verdicts.in_time(some, times)
    # The plain line is at 9 there, 9.5 at 50 M: half a point more than by multiply-adds.
    cell = ("dependent", "0.6", "")
    assert found == [
        (*cell, "1", "6.000", "0.857", "+0.05"),
        (*cell, "32", "0.500", "0.714", "-0.45"),
    ]
    untimed = {key: value for key, value in times.items() if not key[0].startswith("dependent")}
    assert cifar_verdicts.in_time(some, untimed) == []


def test_a_part_of_the_recipe_stands_beside_the_same_network_without_it():
    some = rows([-0.4])
    part = row("teacher=self", "0.6", 0, 60e6, 8.8)
    base, found = cifar_verdicts.ablation([part], some)
    assert base == ("", "50.00", "1.190", "9.10", "-0.40", "")
    assert found == ("teacher=self", "60.00", "1.429", "8.80", "-0.20", "+0.20")


def test_lambda_is_chosen_on_the_validation_images():
    some = rows([0.0])
    swept = [
        {**row("dependent", "0.6", 0, macs, error), "lambda": weight}
        for weight, macs, error in (("1", 60e6, 8.9), ("4", 50e6, 9.2), ("10", 45e6, 9.7))
    ]
    # Beside 9, 9.5 and 9.75.
    assert cifar_verdicts.chosen(swept, some, "dependent") == "4"


def test_holm_and_student():
    assert student.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert student.holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    # From tables, and 1 - 2 / pi * atan(t) of one degree of freedom.
    for t, freedom, probability in ((2.571, 5, 0.05), (9.925, 2, 0.01), (2.228, 10, 0.05)):
        assert student.two_sided(t, freedom) == pytest.approx(probability, abs=5e-5)
    assert student.two_sided(3.0, 1) == pytest.approx(1 - 2 / math.pi * math.atan(3), abs=5e-5)
    spread, freedom = cifar_verdicts.pooled([[1.0, 3.0], [5.0], [0.0, 1.0]])
    assert (spread, freedom) == (pytest.approx((2.5 / 2) ** 0.5), 2)
