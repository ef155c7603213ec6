"""The tools on a run: evaluated again and at thresholds, exported, served, classified."""

import csv
import re
import shlex
import socket
import textwrap

import pytest
from examples import own_lines
from processes import forked

from tfgates.runs.folder import RunFolder
from tfgates.runs.records import read_gain, read_metrics


def test_the_evaluation_tool_repeats_the_table_and_evaluates_thresholds(whole_run, copied_run):
    (_, output), run = whole_run, copied_run
    before = run.metrics.read_text()
    tool = ("-m", "tfgates.tools.evaluate", f"--run={run.path}")
    again = forked(*tool, "--thresholds=0.9,0.01,0.5", "--gain")
    assert again.returncode == 0, again.stderr
    assert run.metrics.read_text() == before
    table = output[output.index("policy  ") : output.index("Rate of each gate")]
    assert table in again.stdout
    with run.thresholds_table.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["tau"] for row in rows] == ["0.01", "0.5", "0.9"]
    rates = [float(row["rate"]) for row in rows]
    assert rates[0] == 1.0
    assert rates == sorted(rates, reverse=True)
    # The validation column of the log is the same threshold on the same images.
    with run.log.open() as file:
        last = list(csv.DictReader(file))[-1]
    assert 1 - float(rows[1]["top1_error"]) / 100 == pytest.approx(float(last["val_accuracy"]))
    assert rates[1] == pytest.approx(float(last["val_rate"]))
    gain = read_gain(run)
    assert gain.own == pytest.approx(read_metrics(run).policies[0].top1_error)
    assert gain.fixed_macs <= gain.macs
    assert f"dealt to other images  {gain.shuffled:.2f}" in re.sub("  +", "  ", again.stdout)
    assert run.thresholds_picture.read_bytes().startswith(b"\x89PNG")
    refused = forked(*tool, "--thresholds=0.5,1")
    assert refused.returncode == 2
    (line,) = own_lines(refused.stderr)
    assert "--thresholds" in line
    assert "0.5,1" in line


def test_export_and_demo_of_a_run(copied_run, tmp_path):
    run = RunFolder(copied_run.path.rename(tmp_path / "it's a run"))
    exported = forked("-m", "tfgates.tools.export", f"--run={run.path}", "--top_k=3")
    assert exported.returncode == 0, exported.stderr
    assert f"Exported {run.export / '1'} " in exported.stdout
    shown = forked("serving/demo.py", f"--run={run.path}")
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    images = sorted((run.path / "images").iterdir())
    assert len(images) == 8
    answers = [re.split("  +", line) for line in lines if line.startswith(str(images[0].parent))]
    assert [answer[0] for answer in answers] == [str(path) for path in images]
    assert all(re.fullmatch("[01]{3}", answer[-2]) for answer in answers)
    (address,) = re.findall(r"on 127\.0\.0\.1:(\d+)", shown.stdout)
    assert "Stopped the server." in lines
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(address))) != 0
    command = shown.stdout.partition("in production:\n")[2]
    assert shlex.split(command)[:7] == [
        *("docker", "run", "--rm", "-p", "8500:8500"),
        *("-v", f"{run.export}:/models/gated"),
    ]
    assert f"Picture:    {run.picture}" in lines


RECOMMENDED = """
    import numpy as np
    from absl import flags

    import tfgates.tools.bench
    from tfgates.actions import bench

    flags.FLAGS(["bench", "--run=runs/it's a run", "--tau=0.4"])
    ways = {bench.PLAIN: (None, None, (2, 1)), "gather": (None, "gather", (1, 2))}
    seconds = {bench.PLAIN: np.ones((3, 2)), "gather": np.ones((3, 2)) / 2}
    print(bench.recommendation(ways, [seconds]))
"""


def test_the_recommended_command_is_for_the_shell(tmp_path):
    (tmp_path / "script.py").write_text(textwrap.dedent(RECOMMENDED))
    ran = forked(str(tmp_path / "script.py"))
    assert ran.returncode == 0, ran.stderr
    (command,) = re.findall(r"^  (python .*)$", ran.stdout, re.MULTILINE)
    flags = ["--run=runs/it's a run", "--skip=gather", "--tau=0.4"]
    assert shlex.split(command) == ["python", "-m", "tfgates.tools.export", *flags]
