"""The same command again: after an early kill, an interrupt, a divergence, or the end."""

import dataclasses
import json
import shutil
import signal
import time

import pytest
from examples import own_lines
from processes import Script, forked
from runs_alike import contents, results

from tfgates.network import num_gates
from tfgates.runs.evaluate import measured_at
from tfgates.runs.folder import RunFolder
from tfgates.runs.records import read_metrics, read_thresholds, write_thresholds


def wait_for_an_epoch(run, script):
    """Waits until a run has finished its first epoch."""
    deadline = time.monotonic() + 120
    while not (run.checkpoints / "epoch-0001.weights.h5").exists():
        assert time.monotonic() < deadline
        assert script.running()
        time.sleep(0.05)


def test_an_interrupted_run_ends_in_one_line(training, tmp_path):
    run = RunFolder(tmp_path / "run")
    with Script(*training(run.path, "--epochs=1000")) as script:
        wait_for_an_epoch(run, script)
        script.send_signal(signal.SIGINT)
        interrupted = script.finish(60)
    assert interrupted.returncode == 130
    line = own_lines(interrupted.stderr)[-1]
    assert line == "Interrupted. What is finished is kept; train.py resumes."


def test_a_run_killed_in_its_first_epoch_starts_over(training, tmp_path):
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    run.log.write_text("")
    run.rates.write_text("step,block_00,block_01,block_02\n1,0.9,0.9,0.9\n")
    finished = forked(*training(run.path, "--epochs=1"))
    assert finished.returncode == 0, finished.stderr
    assert len(run.log.read_text().splitlines()) == 2
    assert [row.split(",")[0] for row in run.rates.read_text().split()] == ["step", "1", "2", "3"]


def test_a_finished_run_is_evaluated_again(copied_run, training):
    """Whatever was lost of what comes after the training, by a version with more flags."""
    run = copied_run
    before = results(run)
    flags = run.flags.read_text().splitlines()
    older = [line for line in flags if not line.startswith(("--jit=", "--gated="))]
    assert len(older) == len(flags) - 2
    run.flags.write_text("\n".join(older))
    run.metrics.unlink()
    run.model.unlink()
    run.rates.unlink()
    again = forked(*training(run.path, "--epochs=3"))
    assert again.returncode == 0, again.stderr
    assert "is trained, 3 of 3 epochs" in again.stdout
    assert results(run) == before
    (moved,) = set(run.flags.read_text().splitlines()) - set(flags)
    assert moved == f"--output_dir={run.path}"
    assert num_gates(RunFolder(run.path).load_classifier().network) == 3
    assert "Picture of the rates over the training" in again.stdout


def test_what_was_measured_before_a_longer_training_is_not_shown_after_it(copied_run, training):
    own = dataclasses.replace(read_metrics(copied_run).policies[0], policy="0.9")
    write_thresholds(copied_run, [own])
    assert measured_at(copied_run, 0.9)["split"] == "validation"
    longer = forked(*training(copied_run.path, "--epochs=4"))
    assert longer.returncode == 0, longer.stderr
    run = RunFolder(copied_run.path)
    assert run.digest != copied_run.digest
    assert measured_at(run, 0.5)["split"] == "test"
    assert read_thresholds(run) is None
    assert measured_at(run, 0.9) is None


def other_labels(run):
    data = json.loads(run.data.read_text())
    data["labels"][3] = "Curtain"
    run.data.write_text(json.dumps(data))


def other_flags(line):
    return lambda run: run.flags.write_text(f"{run.flags.read_text()}{line}\n")


@pytest.mark.parametrize(
    ("change", "flags", "words"),
    [
        (None, ["--target_rate=0.4"], ["--target_rate=0.5", "--target_rate=0.4"]),
        (None, ["--epochs=2"], ["3 epochs", "--epochs=2"]),
        (other_flags("--colour=red"), [], ["--colour=red", "Remove it"]),
        (other_labels, [], ["no longer the data set", "Curtain"]),
        # The flags agree, and the weights are those of another network.
        (other_flags("--gate=none"), ["--gate=none"], ["epoch-0003.weights.h5 cannot be read"]),
        (lambda run: run.data.write_text("{"), [], ["data.json is damaged"]),
    ],
)
def test_a_refused_resume_changes_nothing(copied_run, training, change, flags, words):
    run = copied_run
    # Of a folder that was copied from elsewhere.
    (run.path / ".lock").unlink()
    if change:
        change(run)
    before = contents(run.path)
    # More epochs would be written to flags.cfg.
    refused = forked(*training(run.path, "--epochs=4", *flags))
    assert refused.returncode == 2
    line = own_lines(refused.stderr)[-1]
    for word in words:
        assert word in line
    assert contents(run.path) == before


def test_a_refused_start_leaves_no_folder(whole_run, training, tmp_path):
    """Refused last of all, where the network is built and is to get its weights."""
    (tmp_path / "there").mkdir()
    before = contents(tmp_path)
    for folder in ("there", "there/a/b"):
        refused = forked(
            *training(tmp_path / folder, "--network=cifar_resnet14"),
            f"--init_from={whole_run[0].path}",
        )
        assert refused.returncode == 2
        assert "was trained with another network" in own_lines(refused.stderr)[-1]
        assert contents(tmp_path) == before


def test_a_finished_model_without_checkpoints_is_not_replaced(copied_run, training):
    """Pruned runs are such folders, and those whose checkpoints were deleted."""
    run = copied_run
    shutil.rmtree(run.checkpoints)
    before = contents(run.path)
    refused = forked(*training(run.path, "--epochs=3", "--target_rate=0.4"))
    assert refused.returncode == 2
    line = own_lines(refused.stderr)[-1]
    assert "a finished model without a checkpoint" in line
    assert f"; --network=run:{run.path} trains it further" in line
    assert contents(run.path) == before


def test_a_diverged_run_ends_with_its_reason_and_without_a_result(training, tmp_path):
    run = RunFolder(tmp_path / "run")
    ended = forked(*training(run.path, "--epochs=2", "--learning_rate=1e6"))
    assert ended.returncode == 2
    (line,) = own_lines(ended.stderr)
    assert "diverged" in line
    assert "--learning_rate" in line
    assert not run.model.exists()
    assert not run.metrics.exists()
