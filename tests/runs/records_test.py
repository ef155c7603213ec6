"""What a run has recorded: read as it was written, refused by name where it is damaged."""

import copy
import json

import pytest
from examples import small_network
from report_fixtures import SHAPE, record

from tfgates.base.errors import UserError
from tfgates.graph.count import count
from tfgates.inference.gain import Gain
from tfgates.report.tables import COLUMNS
from tfgates.runs.evaluate import measured_at
from tfgates.runs.folder import RunFolder
from tfgates.runs.records import (
    Record,
    read_gain,
    read_metrics,
    read_thresholds,
    require_metrics,
    write_gain,
    write_metrics,
    write_thresholds,
)

GAIN = Gain(11.0, 12.5, 13.0, 2e6, 1.5e6, ["block_00"])


@pytest.fixture
def made_up():
    cost = count(small_network(size=32), SHAPE)
    return record("runs/one", cost, [0.0, 1.0, 0.4])


@pytest.fixture
def run(made_up, tmp_path):
    """A run folder with metrics.json and thresholds.csv of its model."""
    folder = RunFolder(tmp_path)
    folder.model.write_text("a model")
    write_metrics(folder, "a data set", made_up.metrics)
    write_thresholds(folder, made_up.thresholds)
    write_gain(folder, GAIN)
    return folder


def test_results_are_read_as_they_were_written(run, made_up):
    assert read_metrics(run) == made_up.metrics
    assert [one.policy for one in read_thresholds(run)] == ["0.2", "0.5", "0.8"]
    assert read_gain(run) == GAIN
    assert read_metrics(RunFolder(run.path / "empty")) is None


def test_what_was_measured_at_a_threshold(run, made_up):
    own = made_up.metrics.policies[0]
    assert measured_at(run, 0.5)["top1_error"] == own.top1_error
    assert measured_at(run, 0.5)["split"] == "test"
    assert measured_at(run, 0.8) == {
        "split": "validation",
        **{name: getattr(made_up.thresholds[2], name) for name in COLUMNS},
    }
    assert measured_at(run, 0.7) is None


def test_results_of_another_model_are_left_out_and_said_to_be(run, capsys):
    run.model.write_text("another model")
    record = Record.read(RunFolder(run.path))
    assert record.metrics is None
    assert record.thresholds is None
    lines = capsys.readouterr().out.splitlines()
    assert record.gain is None
    files = run.metrics, run.thresholds_table, run.gain
    assert [line.split()[1] for line in lines] == list(map(str, files))
    for line in lines:
        assert "another model" in line
        assert line.endswith(f"python -m tfgates.tools.evaluate --run={run.path}")
    assert measured_at(RunFolder(run.path), 0.5) is None
    with pytest.raises(UserError, match=r"no metrics\.json of its model.*tools\.evaluate"):
        require_metrics(RunFolder(run.path))


def test_results_that_name_no_model_are_left_out(run):
    metrics = json.loads(run.metrics.read_text())
    del metrics["model_sha256"]
    run.metrics.write_text(json.dumps(metrics))
    rows = [line.rpartition(",")[0] for line in run.thresholds_table.read_text().splitlines()]
    assert rows[0] == "tau,top1_error,top5_error,rate,macs,macs_share"
    run.thresholds_table.write_text("".join(f"{row}\n" for row in rows))
    assert measured_at(run, 0.5) is None
    assert read_metrics(run) is None
    assert read_thresholds(run) is None


NAN, INFINITY = float("nan"), float("inf")
DAMAGES = [
    *[(name, value) for name in ("target_rate", "test_images") for value in (NAN, INFINITY, "1")],
    ("ungated_macs", None),
    ("policies", []),
    ("policies", {}),
    *[("top1_error", value) for value in (None, "11.1", [11.1], NAN, True)],
    *[("gate_rates", value) for value in (None, 0.5, [0.5], [0.5, 0.5, 2], [0.5, 0.5, "x"])],
    ("policy", 5),
    ("unknown", 1),
]


@pytest.mark.parametrize(("name", "value"), DAMAGES)
def test_damaged_metrics_are_refused(run, name, value):
    content = json.loads(run.metrics.read_text())
    damaged = copy.deepcopy(content)
    (damaged if name in content else damaged["policies"][0])[name] = value
    run.metrics.write_text(json.dumps(damaged))
    with pytest.raises(UserError, match=r"metrics\.json is damaged.*tools\.evaluate"):
        Record.read(run)


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, "\x00"])
def test_metrics_that_are_no_json_are_refused(run, text):
    run.metrics.write_text(text)
    with pytest.raises(UserError, match=r"metrics\.json is damaged"):
        Record.read(run)


@pytest.mark.parametrize(
    ("before", "after"), [("0.2,", "nan,"), ("0.2,", "inf,"), ("0.2,", "x,"), ("tau,", "t,")]
)
def test_damaged_thresholds_are_refused(run, before, after):
    text = run.thresholds_table.read_text()
    assert before in text
    run.thresholds_table.write_text(text.replace(before, after, 1))
    with pytest.raises(UserError, match=r"thresholds\.csv is damaged"):
        Record.read(run)


def test_a_damaged_log_and_damaged_flags_are_refused(run):
    for cells in ("1,x", "nan,0.5", '"' + "x" * 200_000):
        text = f"step,block_00\n{cells}\n"
        run.rates.write_text(text)
        with pytest.raises(UserError, match=r"rates\.csv is damaged"):
            Record.read(run)
    run.rates.write_text("")
    run.log.write_text("epoch,gate/block_00\n0,0.5\n")
    assert Record.read(run).rates.unit == "epoch"
    run.flags.write_text("--target_rate=half\n")
    with pytest.raises(UserError, match=r"flags\.cfg is damaged: --target_rate=half"):
        Record.read(run)


def test_results_of_other_gates_are_refused(run):
    found = Record.read(run)
    gates = len(found.metrics.policies[0].gate_rates)
    found.require_gates(gates)
    with pytest.raises(UserError, match=rf"metrics\.json has rates of {gates} gates, .* 1\."):
        found.require_gates(1)
