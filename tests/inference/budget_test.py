"""A budget chooses the threshold and the run: by a table made by hand, and by the tool."""

import csv
import json
import shutil

import pytest
from examples import own_lines
from processes import forked

from tfgates.inference.budget import Candidate, best_within, frontier
from tfgates.inference.passes import Result
from tfgates.network import gates
from tfgates.runs.folder import RunFolder

EXPORT = ("-m", "tfgates.tools.export")


def candidate(run, tau, error, macs, milliseconds=None):
    return Candidate(run, tau, Result(f"{tau}", error, 1.0, 0.5, macs, 0.5, []), milliseconds)


# Milliseconds are in another order than multiply-adds.
TABLE = [
    candidate("a", 0.3, 10.0, 30, 1.0),
    candidate("a", 0.5, 12.0, 20, 4.0),
    candidate("a", 0.7, 12.0, 15, 3.0),
    candidate("b", 0.5, 11.0, 18, 2.0),
    candidate("b", 0.7, 13.0, 18, 2.0),
    candidate("b", 0.9, 20.0, 10, 5.0),
]


def without_times(table):
    return [candidate(one.run, one.tau, one.result.top1_error, one.result.macs) for one in table]


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (9.9, None),
        (10, ("b", 0.9)),
        (17, ("a", 0.7)),
        (18, ("b", 0.5)),
        (29, ("b", 0.5)),
        (1e9, ("a", 0.3)),
    ],
)
def test_the_best_within_multiply_adds(budget, expected):
    best = best_within(without_times(TABLE), budget)
    assert (best and (best.run, best.tau)) == expected


def test_the_frontier_has_no_candidate_that_another_one_beats():
    found = [(one.run, one.tau) for one in frontier(without_times(TABLE))]
    assert found == [("b", 0.9), ("a", 0.7), ("b", 0.5), ("a", 0.3)]


def test_a_budget_of_time_counts_milliseconds():
    assert frontier(TABLE) == TABLE[:1]
    assert best_within(TABLE, 0.9) is None
    assert best_within(TABLE[1:], 3.5) == TABLE[3]


@pytest.fixture
def other_run(copied_run, tmp_path):
    """The same network but for its first gate, which is closed for every image."""
    run = RunFolder(shutil.copytree(copied_run.path, tmp_path / "other"))
    classifier = run.load_classifier()
    gates(classifier.network)[0].gate.off_on.bias.assign([50.0, 0.0])
    run.save_classifier(classifier, run.model)
    return run


def rows(run):
    with run.budget_table.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_tool_chooses_among_runs_within_multiply_adds(copied_run, other_run):
    both = (f"--run={copied_run.path}", f"--run={other_run.path}")
    # The other run, at any tau, costs less than this one with its first block open.
    finished = forked(*EXPORT, *both, "--budget_macs=10.2e6", eager=True)
    assert finished.returncode == 0, finished.stderr
    (chosen,) = [
        run for run in (copied_run, other_run) if f"Exported {run.export / '1'} " in finished.stdout
    ]
    found = rows(chosen)
    assert len(found) == 2 * 19
    (best,) = [row for row in found if row["chosen"] == "1"]
    within = [row for row in found if float(row["macs"]) <= 10.2e6]
    assert 0 < len(within) < len(found)
    assert min(float(row["top1_error"]) for row in within) == float(best["top1_error"])
    assert best["run"] == str(chosen.path)
    assert best["on_frontier"] == "1"
    about = json.loads((chosen.export / "1/assets.extra/tfgates.json").read_text())
    assert about["tau"] == float(best["tau"])
    assert about["measured"]["split"] == "validation"
    assert about["measured"]["macs"] == pytest.approx(float(best["macs"]))
    assert chosen.budget_picture.read_bytes().startswith(b"\x89PNG")
    refused = forked(*EXPORT, *both, "--budget_macs=1e5", eager=True)
    assert refused.returncode == 2
    line = own_lines(refused.stderr)[-1]
    cheapest = min(found, key=lambda row: (float(row["macs"]), float(row["top1_error"])))
    assert f"The cheapest is {cheapest['run']} at tau {float(cheapest['tau']):g}" in line


def test_the_tool_chooses_within_milliseconds(copied_run):
    finished = forked(*EXPORT, f"--run={copied_run.path}", "--budget_ms=1000")
    assert finished.returncode == 0, finished.stderr
    found = rows(copied_run)
    assert all(0 < float(row["milliseconds"]) < 1000 for row in found)
    (best,) = [row for row in found if row["chosen"] == "1"]
    assert float(best["top1_error"]) == min(float(row["top1_error"]) for row in found)
    about = json.loads((copied_run.export / "1/assets.extra/tfgates.json").read_text())
    assert about["tau"] == float(best["tau"])


def test_flags_that_do_not_go_together_are_refused(copied_run, other_run):
    run, other = f"--run={copied_run.path}", f"--run={other_run.path}"
    data = json.loads(other_run.data.read_text())
    flags = other_run.flags.read_text()
    for given, words in [
        ((run, other), ["Several --run", "--budget_macs"]),
        ((run, "--budget_macs=1e7", "--budget_ms=1"), ["--budget_macs=1e+07", "--budget_ms=1"]),
        ((run, "--budget_ms=nan"), ["--budget_ms=nan", "above 0"]),
        ((run, "--budget_macs=1e7", "--tau=0.5"), ["--budget_macs=1e+07", "--tau"]),
        ((run, "--budget_ms=1", "--fix_collapsed=.9"), ["--budget_ms=1", "--fix_collapsed"]),
    ]:
        refused = forked(*EXPORT, *given)
        assert refused.returncode == 2, given
        line = own_lines(refused.stderr)[-1]
        assert all(word in line for word in words), line
    # The data set that ships with tfgates, in the other run.
    data.update(
        dataset="fashion_mnist_13k:1.0.0",
        splits={name: name for name in ("train", "validation", "test")},
        fingerprint="10000 train, 1000 validation, 2000 test",
    )
    names = "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot"
    data["labels"] = names.split(",")
    other_run.data.write_text(json.dumps(data))
    other_run.flags.write_text(flags.replace("--data_dir=", "--was="))
    refused = forked(*EXPORT, run, other, "--budget_macs=1e7")
    assert refused.returncode == 2
    line = own_lines(refused.stderr)[-1]
    assert "my_set" in line
    assert "fashion_mnist_13k" in line
    assert not copied_run.export.exists()
