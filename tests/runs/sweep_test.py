"""Many runs: their combinations, their order, what is trained again, and the table."""

import csv
import dataclasses
import json
import pathlib
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
from examples import with_flags
from processes import forked

from tfgates.base.errors import UserError
from tfgates.inference.passes import Result
from tfgates.report.sweep import as_text, figures, summary, write_csv
from tfgates.runs import sweep
from tfgates.runs.grid import read_grid, read_point
from tfgates.runs.records import Metrics

STUB = """
    import json, pathlib, sys, time
    flags = dict(line[2:].split("=", 1) for line in sys.argv[1:])
    folder = pathlib.Path(flags["output_dir"])
    (folder / "flags.cfg").write_text("".join(f"{line}\\n" for line in sys.argv[1:]))
    with (folder.parent / "order.txt").open("a") as file:
        print("start", flags["seed"], file=file, flush=True)
        time.sleep(0.5)
        print("end", flags["seed"], file=file, flush=True)
    if flags["seed"] == "2" and not (folder.parent / "mended").exists():
        sys.exit("This one is broken.")
    (folder / "model.keras").touch()
    (folder / "model_card.md").touch()
"""


def points(*texts, flags=()):
    """Reads a grid beside the other flags of the command line, as the tool does."""
    return with_flags(lambda: read_grid(texts), *flags)


def test_every_combination_in_order():
    texts = ("gate=dependent,none  seed=1,2", "target_weight=2")
    found, after = with_flags(lambda: (read_grid(texts), read_point({})), "--output_dir=r/s")
    settings = [point.settings for point in found]
    assert [(one.gate, one.seed) for one in settings] == [
        ("dependent", 1),
        ("dependent", 2),
        ("none", 1),
        ("none", 2),
    ]
    assert {one.target_weight for one in settings} == {2.0}
    assert settings[2].output_dir == "r/s/gate=none,seed=1,target_weight=2"
    # The flags themselves are what they were.
    assert (after.settings.gate, after.settings.seed) == ("dependent", 1)
    assert after.settings.target_weight == 1.0


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ("", "at least one flag"),
        ("gate", "'gate'"),
        ("gate=dependent,", "'gate=dependent,'"),
        ("seed=1 seed=2", "each once"),
        ("output_dir=a,b", "not output_dir"),
        ("seed=1,1", "each value once"),
        ("target_rate=0.4,0.40", "each value once"),
        ("colour=red", "colour"),
        ("decay_epochs=1,2", "decay_epochs=1,2"),
        ("gate=dependent,absent", "gate=absent"),
        ("target_rate=0.5,40", "target_rate=40"),
        ("gate=none target_loss=per_gate target_schedule=annealed", "--target_schedule belongs"),
    ],
)
def test_a_grid_is_refused_as_a_whole(grid, message):
    with pytest.raises(UserError, match=message):
        points(grid)


@pytest.fixture
def stub(tmp_path, monkeypatch):
    """A train.py that ends in half a second, and fails for seed 2."""
    path = tmp_path / "train.py"
    path.write_text(textwrap.dedent(STUB))
    monkeypatch.setattr(sweep, "TRAIN", (path,))
    return tmp_path


def ended(stub, grid, jobs):
    """Trains a grid; returns the exit codes by seed, and what the stub wrote of its order."""
    codes = {}
    all_settings = [one.settings for one in points(grid, flags=[f"--output_dir={stub}"])]
    (stub / "order.txt").write_text("")
    sweep.train_all(all_settings, jobs, lambda settings, code: codes.update({settings.seed: code}))
    return codes, (stub / "order.txt").read_text().splitlines()


def test_runs_are_trained_once_and_a_broken_one_keeps_none_from_it(stub):
    codes, order = ended(stub, "seed=1,2,3", 1)
    assert codes == {1: 0, 2: 1, 3: 0}
    assert order == ["start 1", "end 1", "start 2", "end 2", "start 3", "end 3"]
    assert "This one is broken." in (stub / "seed=2/train.txt").read_text()
    (stub / "mended").touch()
    codes, order = ended(stub, "seed=1,2,3", 1)
    assert codes == {1: 0, 2: 0, 3: 0}
    assert order == ["start 2", "end 2"]
    # Two starts of half a second.
    assert 1.0 <= sweep.seconds(stub / "seed=2")[1] < 20
    assert 0.0 < sweep.seconds(stub / "seed=2")[0] < sweep.seconds(stub / "seed=2")[1]


def test_a_run_that_was_trained_otherwise_has_no_seconds(stub):
    ended(stub, "seed=1", 1)
    (stub / "seed=1/seconds.csv").unlink()
    codes, order = ended(stub, "seed=1", 1)
    assert (codes, order) == ({1: 0}, [])
    assert sweep.seconds(stub / "seed=1") == (None, None)


def test_jobs_run_side_by_side(stub):
    (stub / "mended").touch()
    _, order = ended(stub, "seed=1,2,3", 3)
    assert [line.split()[0] for line in order] == ["start"] * 3 + ["end"] * 3


@pytest.mark.parametrize(
    ("before", "after", "finished"),
    [
        ("--momentum=0.9\n", "--momentum=0.8\n", False),
        # Of a version without this flag, whose default is 0.9.
        ("--momentum=0.9\n", "", True),
        ("--seed=3\n", "", False),
        # train.py refuses it by name.
        ("--momentum=0.9\n", "--momentum=0.9\n--colour=red\n", False),
    ],
)
def test_other_flags_are_handed_to_train_py(stub, before, after, finished):
    ended(stub, "seed=3", 1)
    path = stub / "seed=3/flags.cfg"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    assert ended(stub, "seed=3", 1)[1] == ([] if finished else ["start 3", "end 3"])


def test_runs_end_with_the_sweep(stub):
    script = f"""
        from tfgates.runs import sweep
        from tfgates.runs.grid import read_grid
        from absl import flags
        import tfgates.settings.flags
        tfgates.settings.flags.define_flags()
        flags.FLAGS(["", "--output_dir={stub}"])
        sweep.TRAIN = ({str(stub / "slow.py")!r},)
        sweep.train_all([p.settings for p in read_grid(["seed=1,2"])], 2, print)
    """
    slow = "import pathlib, time; pathlib.Path({!r}).open('a').write('x'); time.sleep(200)"
    (stub / "slow.py").write_text(slow.format(str(stub / "started")))
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)]) as process:
        wait_for(lambda: (stub / "started").exists() and len((stub / "started").read_text()) == 2)
        process.terminate()
        assert process.wait(30) == 143
    # What they took until then counts.
    assert all(sweep.seconds(stub / f"seed={seed}")[1] > 0 for seed in (1, 2))
    commands = [path.read_bytes() for path in pathlib.Path("/proc").glob("[0-9]*/cmdline")]
    assert not [command for command in commands if str(stub / "slow.py").encode() in command]


def wait_for(condition):
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def metrics(error, rates):
    cost = Result("", error, 0.5, rate=0.5, macs=2e6, macs_share=0.6, gate_rates=[])
    policies = [
        dataclasses.replace(cost, policy="threshold 0.5", gate_rates=[round(x) for x in rates]),
        dataclasses.replace(
            cost, policy="stochastic, 5 passes", gate_rates=rates, top1_error=error + 1
        ),
    ]
    return Metrics(10, 0.5, 3_000_000, policies)


def rows():
    some = metrics(10.0, [0.0, 0.04, 0.96, 0.5]), metrics(12.0, [0.05, 0.95, 1.0, 0.5])
    return [{"gate": "dependent", "seed": "1", **summary(one)} for one in some]


def test_summary_counts_collapsed_gates():
    first, second = rows()
    assert first["collapsed"] == 0.75
    assert second["collapsed"] == 0.25
    assert (first["stochastic_top1_error"], first["macs_share"]) == (11.0, 0.6)
    assert first["gate_rates"] == [0.0, 0.04, 0.96, 0.5]
    own = dataclasses.replace(metrics(10.0, []).policies[0], policy="no gates")
    plain = summary(Metrics(10, 1.0, 3_000_000, [own]))
    assert (plain["collapsed"], plain["gate_rates"]) == (None, [])
    assert plain["stochastic_top1_error"] is None


def test_table_has_means_and_deviations():
    assert figures(rows()[:1])["top1_error"] == "10.00"
    texts = figures(rows())
    assert texts["top1_error"] == f"11.00 ± {np.std([10, 12], ddof=1):.2f}"
    assert texts["collapsed"] == f"50 ± {np.std([75, 25], ddof=1):.0f} %"
    lines = as_text(rows(), ["gate"]).splitlines()
    assert len(lines) == 3
    assert lines[2].split()[:2] == ["dependent", "2"]


def test_csv_has_a_row_for_each_run(tmp_path):
    write_csv(tmp_path / "sweep.csv", rows())
    with (tmp_path / "sweep.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [float(row["top1_error"]) for row in found] == [10.0, 12.0]
    assert found[0]["gate_rates"] == "0.0000 0.0400 0.9600 0.5000"


def test_the_tool_on_real_runs(training, tmp_path):
    _, *flags = training(tmp_path, "--epochs=1")
    flags = [flag for flag in flags if "decay_epochs" not in flag]
    tool = ("-m", "tfgates.tools.sweep", *flags, "--decay_epochs=1", "--grid=gate=none,independent")
    first = forked(*tool, "--jobs=2")
    assert first.returncode == 0, first.stderr
    with (tmp_path / "sweep.csv").open(newline="") as file:
        found = {row["gate"]: row for row in csv.DictReader(file)}
    assert list(found) == ["none", "independent"]
    for gate, row in found.items():
        run = tmp_path / f"gate={gate}"
        own = json.loads((run / "metrics.json").read_text())["policies"][0]
        assert row["run"] == str(run)
        assert float(row["top1_error"]) == own["top1_error"]
        assert f"{own['top1_error']:.2f}" in first.stdout
    before = (tmp_path / "sweep.csv").read_text()
    again = forked(*tool)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "sweep.csv").read_text() == before
    # Another grid in the same folder leaves the rows that are not its own.
    other = forked(*tool[:-1], "--grid=gate=none")
    assert other.returncode == 0, other.stderr
    with (tmp_path / "sweep.csv").open(newline="") as file:
        assert [row["gate"] for row in csv.DictReader(file)] == ["independent", "none"]
    refused = forked(*tool, "--momentum=0.8")
    assert refused.returncode == 2
    assert "2 of 2 runs failed" in refused.stderr
