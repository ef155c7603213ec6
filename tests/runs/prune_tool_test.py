"""tools.prune on a small real run: what it says, the folder it makes, and training on."""

import csv
import json
import re
import shlex
import shutil

import numpy as np
import pytest
from examples import (
    PREPROCESSING,
    features_before,
    own_lines,
    randomize,
    real_images,
    small_network,
)
from processes import forked

import tfgates
from tfgates.graph.branches import paths
from tfgates.network import gates, logits_and_decisions, num_gates
from tfgates.policies import Threshold
from tfgates.runs.folder import RunFolder
from tfgates.settings.flags import TABLE
from tfgates.training.classifier import GatedClassifier

PRUNE = ("-m", "tfgates.tools.prune")
IMAGES = np.random.default_rng(0).integers(0, 255, (16, 32, 32, 3)).astype("float32")


@pytest.fixture(scope="module")
def one_sided(whole_run, tmp_path_factory):
    """A run whose gates are closed for every image, open for every image, and open for half."""
    run = RunFolder(tmp_path_factory.mktemp("it's a folder") / "large")
    shutil.copytree(whole_run[0].path, run.path)
    classifier = run.load_classifier()
    network = classifier.network
    images = np.stack([PREPROCESSING(image) for image in real_images(64)[0]])
    closed, opened, half = (layer.gate for layer in gates(network))
    closed.off_on.bias.assign([0.0, -1e4])
    opened.off_on.bias.assign([0.0, 1e4])
    features = features_before(network, "block_02")(images, policy=Threshold())
    off_on = half.off_on
    off_on.kernel.assign(np.random.default_rng(0).normal(0, 1, off_on.kernel.shape))
    off_on.bias.assign([0.0, 0.0])
    off_on.bias.assign([np.median(half(features)), 0.0])
    run.save_classifier(classifier, run.model)
    return run


@pytest.fixture(scope="module")
def pruned(one_sided):
    """The same without its first block and its second gate, and what the tool printed."""
    run = RunFolder(one_sided.path.with_name("small"))
    finished = forked(*PRUNE, f"--run={one_sided.path}", f"--output_dir={run.path}")
    assert finished.returncode == 0, finished.stderr
    return run, finished.stdout


def test_a_pruned_run(one_sided, pruned):
    run, output = pruned
    before, after = (one.load_classifier().network for one in (one_sided, run))
    answers = [logits_and_decisions(one(IMAGES, policy=Threshold())) for one in (after, before)]
    for own, theirs in zip(*answers, strict=True):
        np.testing.assert_allclose(own, np.asarray(theirs)[:, -own.shape[1] :], atol=1e-5)
    assert "on 200 of 200 training images (train, " in output
    assert "\nGone: block_00.\n" in output
    assert "\nAlways run: block_01.\n" in output
    table = dict(re.findall(r"^\| (.+?) +\| (.+?) +\|$", output, re.MULTILINE))
    _, error_before, error_after, _ = table["top-1 error, %"].split("|")
    assert float(error_before) == float(error_after)
    assert re.fullmatch(r"0 +\| 3 +\| 1 +\|", table["gates"])
    assert {"parameters", "exported, MB", "CPU ms an image, batch 1"} <= table.keys()
    # Two gates of 16 x 16 + 16 x 2 multiply-adds are gone, one of 16 channels and one of 16.
    macs = [float(number) for number in table["M multiply-adds, mean"].split("|")[1:3]]
    assert macs[0] - macs[1] == pytest.approx(2 * (16 * 16 + 16 * 2) / 1e6, abs=0.011)
    card = run.card.read_text()
    assert "\nOn 91 validation images; " in card
    assert re.search(rf"^\| threshold 0.5 +\| +{error_after.strip()} \|", card, re.MULTILINE)
    assert f"| parameters | {table['parameters'].split('|')[2].strip()} |" in card
    assert json.loads(run.data.read_text()) == json.loads(one_sided.data.read_text())


def test_the_folder_works_with_the_tools(pruned):
    run, _ = pruned
    for tool, wanted in [
        (("evaluate", "--thresholds=0.5"), "threshold 0.5"),
        (("export", "--top_k=3"), f"Exported {run.export / '1'} "),
        (("bench", "--rounds=2", "--calls=1", "--batches=2"), "--skip=gather"),
    ]:
        name, *flags = tool
        finished = forked("-m", f"tfgates.tools.{name}", f"--run={run.path}", *flags)
        assert finished.returncode == 0, finished.stderr
        assert wanted in finished.stdout


def test_a_pruned_run_is_pruned_again_until_nothing_is_left(pruned):
    run, _ = pruned
    again = forked(*PRUNE, f"--run={run.path}", f"--output_dir={run.path}-again")
    assert again.returncode == 2
    line = own_lines(again.stderr)[-1]
    assert "Nothing is left to prune: each of the 1 gates" in line
    assert "--min_rate=0.001" in line
    assert not run.path.with_name("small-again").exists()
    # Where half of the images may be ignored every gate is decided.
    plain = RunFolder(f"{run.path}-plain")
    halved = forked(*PRUNE, f"--run={run.path}", f"--output_dir={plain.path}", "--min_rate=0.5")
    assert halved.returncode == 0, halved.stderr
    assert "--gate=none\n" in plain.flags.read_text()
    refused = forked(*PRUNE, f"--run={plain.path}", f"--output_dir={run.path}-x")
    assert refused.returncode == 2
    (line,) = own_lines(refused.stderr)
    assert "without gates" in line
    refused = forked(*PRUNE, f"--run={run.path}", f"--output_dir={plain.path}")
    assert refused.returncode == 2
    assert "there already" in own_lines(refused.stderr)[-1]
    refused = forked(*PRUNE, f"--run={run.path}", f"--output_dir={run.path}-x", "--min_rate=nan")
    assert refused.returncode == 2
    assert "--min_rate=nan" in own_lines(refused.stderr)[-1]


def test_a_pruned_run_is_trained_further_and_resumes(pruned):
    run, output = pruned
    (command,) = re.findall(r"^  python (train.py .*)$", output, re.MULTILINE)
    flags = shlex.split(command)
    tuned = RunFolder(run.path.with_name("small-tuned"))
    assert f"--output_dir={tuned.path}" in flags
    finished = forked(*flags)
    assert finished.returncode == 0, finished.stderr
    network = tuned.load_classifier().network
    assert [layer.name for layer in gates(network)] == ["block_02"]
    assert paths(network)[0].name == "block_01"
    with tuned.log.open() as file:
        log = list(csv.DictReader(file))
    assert len(log) == 2
    target = float(re.search(r"--target_rate=(.+)", run.flags.read_text()).group(1))
    assert float(log[0]["target_rate"]) == pytest.approx(target)
    more = forked(*flags, "--epochs=3")
    assert more.returncode == 0, more.stderr
    assert "Epochs 3 to 3." in more.stdout
    refused = forked("train.py", f"--flagfile={run.flags}")
    assert refused.returncode == 2
    assert "is another folder" in own_lines(refused.stderr)[-1]
    assert num_gates(run.load_classifier().network) == 1


@pytest.mark.parametrize(
    ("gated", "odds", "became"),
    [
        # A probability of 0.5 is closed at tau 0.6.
        ("branches", (2.0, 0.0, 2.0), "Gone: block_01.\nAlways run: block_00, block_02."),
        ("output_filters", ([2.0, 2.0], [0.0, -2.0], [2.0, 0.0]), "Filters sliced: block_02."),
        ("inner_filters", ([2.0, 2.0], [0.0, -2.0], [2.0, 0.0]), "sliced: block_01, block_02."),
    ],
)
def test_independent_gates_go_altogether(copied_run, gated, odds, became):
    plain = small_network("none", size=32)
    network = randomize(tfgates.gate(plain, "independent", gated=gated, groups=2))
    for layer, log_odds in zip(gates(network), odds, strict=True):
        layer.gate.off_on.assign([[0.0, one] for one in np.atleast_1d(log_odds)])
    copied_run.save_classifier(GatedClassifier(network), copied_run.model)
    # What was trained from new weights is not to lose them when it is trained further.
    flags = copied_run.flags.read_text()
    assert "--fresh_weights=false\n" in flags
    assert "--jit=false\n" in flags
    flags = flags.replace("--fresh_weights=false", "--fresh_weights=true")
    # And what an older file lacks has its default, what is unknown is left out.
    copied_run.flags.write_text(flags.replace("--jit=false", "--colour=red"))
    small = RunFolder(f"{copied_run.path}-pruned")
    finished = forked(*PRUNE, f"--run={copied_run.path}", "--tau=0.6")
    assert finished.returncode == 0, finished.stderr
    assert "left out: --colour=red." in finished.stdout
    written = [line.partition("=")[0][2:] for line in small.flags.read_text().splitlines()]
    assert "jit" in written
    assert set(TABLE) - set(written) == {
        *("init_from", "fresh_weights", "statistics", "warmup_epochs", "exits", "exit_units"),
        *("gated", "where", "filter_groups", "last_probability", "branch_targets"),
        "target_penalty",
        *("target_unit", "target_schedule", "anneal_step", "anneal_epochs", "anneal_targets"),
        *("target_window", "target_momentum", "relax_epochs", "sample_epochs"),
        *("gate_temperature", "gate_learning_rate_factor", "decay_gates", "calibrate", "path"),
    }
    assert set(written) < set(TABLE)
    assert became in finished.stdout
    expected, _ = logits_and_decisions(network(IMAGES, policy=Threshold(0.6)))
    pruned = small.load_classifier().network
    assert num_gates(pruned) == 0
    largest = np.abs(expected).max()
    np.testing.assert_allclose(pruned(IMAGES), expected, rtol=0, atol=2e-5 * largest)
