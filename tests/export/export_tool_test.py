"""The tools that export a run and time the ways of serving it."""

import json
import re

import numpy as np
import tensorflow as tf
from examples import own_lines
from processes import forked

from tfgates.network import gates

EXPORT = ("-m", "tfgates.tools.export")


def about(version):
    return json.loads((version / "assets.extra" / "tfgates.json").read_text())


def test_every_way_of_exporting_a_run_gives_the_same_answers(copied_run):
    run = copied_run
    ways = [
        ("--skip=auto",),
        ("--skip=loop", "--weights=variables", "--decode=strict"),
        ("--skip=none", "--version=9"),
    ]
    for flags in ways:
        exported = forked(*EXPORT, f"--run={run.path}", *flags)
        assert exported.returncode == 0, exported.stderr
    versions = [run.export / name for name in ("1", "2", "9")]
    described = [about(version) for version in versions]
    assert [one["skip"] for one in described] == ["gather", "loop", "none"]
    assert [one["weights"] for one in described] == ["const", "variables", "const"]
    assert [one["decode"] for one in described] == ["robust", "strict", "robust"]
    measured = json.loads(run.metrics.read_text())["policies"][0]
    assert described[0]["measured"]["top1_error"] == measured["top1_error"]
    assert described[0]["measured"]["split"] == "test"
    assert described[0]["measured"]["before_fixing"] is False
    _, labels, preprocessing = run.load_data()
    assert described[0]["labels"] == labels
    images = np.random.default_rng(0).integers(0, 255, (4, *[preprocessing.size] * 2, 3))
    answers = [
        tf.saved_model.load(str(version)).signatures["predict_images"](
            images=tf.constant(images, tf.float32)
        )
        for version in versions
    ]
    for answer in answers[1:]:
        np.testing.assert_allclose(answer["scores"], answers[0]["scores"], atol=1e-5)
        np.testing.assert_array_equal(answer["gates"], answers[0]["gates"])


def test_results_of_the_model_before_are_not_those_of_the_export(copied_run):
    run = copied_run
    classifier = run.load_classifier()
    gates(classifier.network)[0].gate.off_on.bias.assign([50.0, 0.0])
    run.save_classifier(classifier, run.model)
    exported = forked(*EXPORT, f"--run={run.path}")
    assert exported.returncode == 0, exported.stderr
    assert f"Note: {run.metrics} is of another model" in exported.stdout
    assert about(run.export / "1")["measured"] is None
    card = (run.export / "1/assets.extra/model_card.md").read_text()
    assert "not measured at this tau" in card


def test_a_published_version_is_not_replaced(copied_run):
    forked(*EXPORT, f"--run={copied_run.path}", "--version=3")
    again = forked(*EXPORT, f"--run={copied_run.path}", "--version=3")
    assert again.returncode == 2
    (line,) = own_lines(again.stderr)
    assert "3 exists already" in line


def test_collapsed_gates_are_fixed_by_their_rate_on_validation_images(copied_run):
    run = copied_run
    network = run.load_classifier()
    # One gate open and one closed for all images.
    for layer, odds in zip(gates(network.network), (-50.0, 50.0), strict=False):
        layer.gate.off_on.bias.assign([0.0, odds])
    run.save_classifier(network, run.model)
    forked("-m", "tfgates.tools.evaluate", f"--run={run.path}", "--thresholds=", eager=True)
    exported = forked(*EXPORT, f"--run={run.path}", "--fix_collapsed=0.999")
    assert exported.returncode == 0, exported.stderr
    fixed = about(run.export / "1")["fixed_gates"]
    assert (fixed["0"], fixed["1"]) == (False, True)
    assert about(run.export / "1")["measured"]["before_fixing"] is True
    card = (run.export / "1/assets.extra/model_card.md").read_text()
    assert len(re.findall(r"^\|.*, before gates were fixed \|$", card, re.MULTILINE)) == 3
    assert re.search(r"Open for good: .*01.*; gone: .*00", exported.stdout)
    answer = tf.saved_model.load(str(run.export / "1")).signatures["predict_images"](
        images=tf.zeros([2, *[run.load_data()[2].size] * 2, 3])
    )
    assert answer["gates"].numpy()[:, :2].tolist() == [[False, True]] * 2


def test_the_ways_of_serving_a_run_are_timed_and_one_is_recommended(copied_run):
    bench = ("-m", "tfgates.tools.bench", f"--run={copied_run.path}")
    timed = forked(*bench, "--rounds=2", "--calls=1", "--batches=2")
    assert timed.returncode == 0, timed.stderr
    rows = [line for line in timed.stdout.splitlines() if line.startswith("| --skip")]
    assert len(rows) == 6
    assert re.search(r"without gates, Keras export +\| 1\.000", timed.stdout)
    assert re.search(r"rate [01]\.\d+ at tau 0.5, \d+\.\d % of the [\d.]+ M", timed.stdout)
    assert re.search(r"--skip=(loop|gather|none)\n|do(es)? not pay", timed.stdout)
    refused = forked(*bench, "--batches=0")
    assert refused.returncode == 2
    assert "--batches" in own_lines(refused.stderr)[-1]
