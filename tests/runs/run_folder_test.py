"""A run folder holds what the README names; what was damaged or changed in it is named."""

import hashlib
import json
import re
import shlex
import zipfile

import keras
import pytest
from disk import Disk
from examples import own_lines, small_network
from processes import forked

from tfgates.base.errors import UserError
from tfgates.network import gates
from tfgates.runs.folder import RunFolder
from tfgates.runs.records import Record
from tfgates.training.classifier import GatedClassifier


def test_a_run_folder_holds_what_the_readme_names(whole_run):
    whole, output = whole_run
    assert whole.flags.read_text().startswith("--dataset=my_set\n")
    header, *rows = whole.log.read_text().splitlines()
    assert len(rows) == 3
    columns = {"epoch", "loss", "accuracy", "target_rate", "rate", "gate/block_00", "gate/block_02"}
    assert columns <= set(header.split(","))
    assert list(whole.tensorboard.rglob("events.*"))
    assert whole.card.read_text().startswith("# cifar_resnet8, 10 classes\n")
    metrics = json.loads(whole.metrics.read_text())
    assert metrics["test_images"] == 10
    assert metrics["ungated_macs"] == 12_501_632
    assert len(metrics["policies"]) == 6
    assert whole.picture.read_bytes().startswith(b"\x89PNG")
    for policy in metrics["policies"]:
        assert f"\n{policy['policy']} " in output
    assert "gate 02" in output


@pytest.mark.parametrize(
    "change",
    [
        {"labels": "abcdefghij"},
        {"labels": list(range(10))},
        {"preprocessing": {"size": "32"}},
        {"preprocessing": {"size": 32, "resize": "fit"}},
        {"preprocessing": {}},
        {"mean": [0, 0]},
        {"std": ["a", 1, 1]},
        {"splits": []},
        {"splits": {"train": 5}},
        {"dataset": 5},
    ],
)
def test_a_damaged_description_of_the_data_is_named(whole_run, tmp_path, change):
    whole, _ = whole_run
    damaged = RunFolder(tmp_path)
    damaged.data.write_text(json.dumps({**json.loads(whole.data.read_text()), **change}))
    with pytest.raises(UserError, match=r"data.json is damaged"):
        damaged.load_data()


def test_data_of_endless_depth_is_named(tmp_path):
    damaged = RunFolder(tmp_path)
    damaged.data.write_text("[" * 100_000)
    with pytest.raises(UserError, match=r"data.json is damaged: RecursionError.*Restore it"):
        damaged.load_statistics()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"preprocessing": {"size": 64, "resize": "square"}}, "says 64 pixels and 10 classes"),
        ({"labels": ["a", "b"]}, "says 32 pixels and 2 classes"),
    ],
)
def test_data_of_another_model_is_named(copied_run, change, words):
    data = {**json.loads(copied_run.data.read_text()), **change}
    copied_run.data.write_text(json.dumps(data))
    with pytest.raises(UserError, match=rf"data.json {words}, and the .* takes 32 .* knows 10"):
        copied_run.load_classifier()


def test_another_model_in_the_run_folder_is_named(tmp_path):
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)]).save(tmp_path / "model.keras")
    with pytest.raises(UserError, match="it holds a Sequential"):
        RunFolder(tmp_path).load_classifier()


def test_a_model_is_on_the_disk_before_its_name_is(tmp_path, monkeypatch):
    disk, run = Disk(monkeypatch), RunFolder(tmp_path)
    run.save_classifier(GatedClassifier(small_network()), run.model)
    disk.assert_durable(run.model)


def test_results_carry_the_digest_of_their_model(whole_run):
    run, _ = whole_run
    digest = hashlib.sha256(run.model.read_bytes()).hexdigest()
    assert run.digest == json.loads(run.metrics.read_text())["model_sha256"] == digest
    assert f"| `model.keras` | SHA-256 {digest} |" in run.card.read_text()


def test_a_process_works_with_one_model_of_a_folder(copied_run, monkeypatch):
    """What it measures is not said of a model that takes the place of the first meanwhile."""
    run, other = copied_run, RunFolder(copied_run.path)
    classifier, before = run.load_classifier(), run.digest
    gates(classifier.network)[0].gate.off_on.bias.assign([50.0, 0.0])
    other.save_classifier(classifier, other.model)
    assert run.digest == before != other.digest
    with pytest.raises(UserError, match=r"model\.keras has changed.*same command again"):
        run.load_classifier()
    # Also where it does so while it is read.
    load, third = keras.saving.load_model, RunFolder(run.path)

    def load_too_late(path):
        gates(classifier.network)[0].gate.off_on.bias.assign([-50.0, 0.0])
        other.save_classifier(classifier, other.model)
        return load(path)

    monkeypatch.setattr(keras.saving, "load_model", load_too_late)
    with pytest.raises(UserError, match=r"model\.keras has changed"):
        third.load_classifier()


def test_tools_say_that_the_model_is_older_than_the_training(copied_run, capsys):
    copied_run.warn_if_unfinished()
    assert capsys.readouterr().out == ""
    flags = copied_run.flags.read_text()
    copied_run.flags.write_text(flags.replace("--epochs=3", "--epochs=9"))
    copied_run.warn_if_unfinished()
    assert "epoch 3 of 9" in capsys.readouterr().out


def test_flags_of_another_version_are_read(copied_run, capsys):
    run = copied_run
    flags = run.load_flags()
    assert (flags["network"], flags["epochs"]) == ("cifar_resnet8", "3")
    text = run.flags.read_text()
    assert "\n--mix=none\n" in text
    run.flags.write_text(text.replace("--mix=none", "--colour=red"))
    # What was unknown to it has its default; what is unknown here is named, once.
    for _ in range(2):
        assert run.load_flags() == flags
    note = f"Note: {run.flags} has lines of unknown flags, left out: --colour=red.\n"
    assert capsys.readouterr().out == note
    assert Record.read(run).flags == flags
    run.flags.unlink()
    assert run.load_flags() == {}


def test_commands_are_for_the_shell(copied_run, capsys, tmp_path):
    run = RunFolder(copied_run.path.rename(tmp_path / "it's a run"))
    flags = run.flags.read_text()
    run.flags.write_text(flags.replace("--epochs=3", "--epochs=9"))
    run.warn_if_unfinished()
    command = capsys.readouterr().out.partition("epoch 3 of 9. ")[2].removesuffix(" finishes it.\n")
    assert shlex.split(command) == ["python", "train.py", f"--flagfile={run.flags}"]
    missing = RunFolder(tmp_path / "no 'run'")
    for one, flag in ((run, f"--flagfile={run.flags}"), (missing, f"--output_dir={missing.path}")):
        one.model.unlink(missing_ok=True)
        with pytest.raises(UserError) as refused:
            one.require_model()
        command = re.search(r"Train it with (.*), or name", str(refused.value))[1]
        assert shlex.split(command) == ["python", "train.py", flag]
    run.metrics.write_text("{")
    with pytest.raises(UserError) as refused:
        Record.read(run)
    command = re.search(r"anew with (.*), or move", str(refused.value))[1]
    assert shlex.split(command) == ["python", "-m", "tfgates.tools.evaluate", f"--run={run.path}"]


def test_another_data_set_under_the_same_name_is_refused(copied_run, training):
    data = json.loads(copied_run.data.read_text())
    data["labels"][3] = "Curtain"
    copied_run.data.write_text(json.dumps(data))
    refused = forked("-m", "tfgates.tools.evaluate", f"--run={copied_run.path}")
    assert refused.returncode == 2
    (line,) = own_lines(refused.stderr)
    assert "no longer the data set" in line
    assert "Curtain" in line
    resumed = forked(*training(copied_run.path, "--epochs=4"))
    assert resumed.returncode == 2
    assert "no longer the data set" in own_lines(resumed.stderr)[-1]
    assert json.loads(copied_run.data.read_text()) == data


def test_a_truncated_checkpoint_is_named(copied_run, training):
    for path in copied_run.checkpoints.iterdir():
        if path.name != "epoch-0003.weights.h5":
            path.unlink()
    (path,) = copied_run.checkpoints.iterdir()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused = forked(*training(copied_run.path, "--epochs=4"))
    assert refused.returncode == 2
    (line,) = own_lines(refused.stderr)
    assert path.name in line


def test_a_model_of_an_older_version_is_named(tmp_path):
    run = RunFolder(tmp_path)
    with zipfile.ZipFile(run.model, "w") as archive:
        network = {"class_name": "GatedNetwork", "registered_name": "tfgates>GatedNetwork"}
        archive.writestr("config.json", json.dumps({"config": {"network": network}}))
    with pytest.raises(
        UserError, match=r"model\.keras cannot be read: it was made by tfgates 0\.1"
    ):
        run.load_classifier()
