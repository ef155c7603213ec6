"""tools.prune on a small real run: what it says, the folder it makes, and training on."""

import csv
import json
import re

import numpy as np
import pytest
from examples import own_lines
from processes import forked

from tfgates.policies import Threshold
from tfgates.run_folder import RunFolder

PRUNE = ("-m", "tfgates.tools.prune")
IMAGES = np.random.default_rng(0).integers(0, 255, (16, 32, 32, 3)).astype("float32")


@pytest.fixture
def one_sided(copied_run):
    """A run whose first gate is closed and whose second one is open for every image."""
    classifier = copied_run.load_classifier()
    for block, odds in zip(classifier.network.blocks, (-50.0, 50.0), strict=False):
        block.gate.off_on.bias.assign([0.0, odds])
    copied_run.save_classifier(classifier, copied_run.model)
    return copied_run


@pytest.fixture
def pruned(one_sided, tmp_path):
    """The same without its first block, and its second gate; and what the tool printed."""
    run = RunFolder(tmp_path / "small")
    finished = forked(*PRUNE, f"--run={one_sided.path}", f"--output_dir={run.path}")
    assert finished.returncode == 0, finished.stderr
    return run, finished.stdout


def test_a_pruned_run(one_sided, pruned, tmp_path):
    run, output = pruned
    before, after = (one.load_classifier().network for one in (one_sided, run))
    for own, theirs in zip(
        after(IMAGES, policy=Threshold()), before(IMAGES, policy=Threshold()), strict=True
    ):
        np.testing.assert_allclose(own, np.asarray(theirs)[:, -own.shape[1] :], atol=1e-5)
    assert "on 200 of 200 training images (train, " in output
    assert "\nGone: block_00.\n" in output
    assert "\nAlways run: block_01.\n" in output
    table = dict(re.findall(r"^\| (.+?) +\| (.+?) +\|$", output, re.MULTILINE))
    assert table["top-1 error, %"].endswith("+0.00")
    assert re.fullmatch(r"3 +\| 1 +\|", table["gates"])
    assert {"parameters", "exported, MB", "CPU ms an image, batch 1"} <= table.keys()
    # Two gates of 16 x 16 + 16 x 2 multiply-adds are gone, one of 16 channels and one of 16.
    macs = [float(number) for number in table["M multiply-adds, mean"].split("|")[:2]]
    assert macs[0] - macs[1] == pytest.approx(2 * (16 * 16 + 16 * 2) / 1e6, abs=0.011)
    assert json.loads(run.data.read_text()) == json.loads(one_sided.data.read_text())


def test_the_folder_works_with_the_tools(pruned):
    run, _ = pruned
    for tool, wanted in [
        (("evaluate", "--taus=0.5"), "threshold 0.5"),
        (("export", "--top_k=3"), f"Exported {run.export / '1'} "),
        (("bench", "--rounds=2", "--calls=1", "--batches=2"), "--skip=gather"),
    ]:
        name, *flags = tool
        finished = forked("-m", f"tfgates.tools.{name}", f"--run={run.path}", *flags)
        assert finished.returncode == 0, finished.stderr
        assert wanted in finished.stdout
    again = forked(*PRUNE, f"--run={run.path}", f"--output_dir={run.path}-again", "--min_rate=0")
    if again.returncode:
        (line,) = own_lines(again.stderr)
        assert "Nothing is left to prune: each of the 1 gates" in line
        assert "--min_rate=0" in line
        assert not run.path.with_name("small-again").exists()
    # Every decision is made at half of the images; then there is no gate left.
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


def test_a_pruned_run_is_trained_further_and_resumes(pruned):
    run, output = pruned
    (command,) = re.findall(r"^  python (train.py .*)$", output, re.MULTILINE)
    flags = command.split()
    tuned = RunFolder(run.path.with_name("small-tuned"))
    assert f"--output_dir={tuned.path}" in flags
    finished = forked(*flags)
    assert finished.returncode == 0, finished.stderr
    network = tuned.load_classifier().network
    assert [block.name for block in network.blocks] == ["block_01", "block_02"]
    assert network.num_gates == 1
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
    assert run.load_classifier().network.num_gates == 1


def test_independent_gates_go_altogether(training, tmp_path):
    run, small = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "run-pruned")
    trained = forked(*training(run.path, "--gate=independent", "--epochs=1"))
    assert trained.returncode == 0, trained.stderr
    classifier = run.load_classifier()
    classifier.network.blocks[1].gate.log_odds.assign(0.0)
    run.save_classifier(classifier, run.model)
    # A probability of 0.5 is open at tau 0.4 and closed at tau 0.6.
    for tau, left in (("0.4", "none"), ("0.6", "block_01")):
        small = RunFolder(tmp_path / tau)
        flags = (f"--run={run.path}", f"--output_dir={small.path}", f"--tau={tau}")
        finished = forked(*PRUNE, *flags)
        assert finished.returncode == 0, finished.stderr
        assert f"\nProjection alone: {left}.\n" in finished.stdout
        network = small.load_classifier().network
        expected = classifier.network(IMAGES, policy=Threshold(float(tau)))[0]
        np.testing.assert_allclose(network(IMAGES)[0], expected, atol=1e-5)
        assert network.num_gates == 0
