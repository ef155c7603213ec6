"""TensorBoard: the gates of each epoch, what runs are compared by, and a run that is resumed."""

import csv
import json
import resource

import keras
import numpy as np
import pytest
import tensorflow as tf
from disk import Disk
from event_files import read_events, steps
from processes import forked
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.plugins.hparams import metadata

from tfgates.base.errors import UserError
from tfgates.report.rates import rates_over_epochs
from tfgates.runs.folder import RunFolder
from tfgates.training.tensorboard import TensorBoard, keep_events, write_hparams


@pytest.fixture(scope="module")
def events(whole_run):
    return read_events(whole_run[0].tensorboard)


def scalar(value):
    return float(tf.make_ndarray(value.tensor))


def test_the_histogram_of_an_epoch_holds_the_rates_of_its_row(whole_run, events):
    histograms = events["gates", "gate_rates"][::2]
    with whole_run[0].log.open() as file:
        rows = list(csv.DictReader(file))
    assert [step for step, _ in histograms] == [0, 1, 2]
    for (_, value), row in zip(histograms, rows, strict=True):
        assert value.metadata.plugin_data.plugin_name == "histograms"
        rates = np.array([float(row[f"gate/block_{gate:02d}"]) for gate in range(3)])
        left, right, count = tf.make_ndarray(value.tensor).T
        assert (left[0], right[-1]) == pytest.approx((rates.min(), rates.max()))
        inside = [
            np.sum((rates >= low - 1e-6) & (rates <= high + 1e-6)) > 0
            for low, high in zip(left, right, strict=True)
        ]
        assert count.sum() == 3
        assert all(np.array(inside)[count > 0])


def test_the_picture_of_an_epoch_has_a_column_for_each_one_so_far(events):
    pictures = events["gates", "gate_rates"][1::2]
    assert [step for step, _ in pictures] == [0, 1, 2]
    for _, value in pictures:
        assert value.metadata.plugin_data.plugin_name == "images"
        width, height, png = tf.make_ndarray(value.tensor)
        assert (width, height) == (b"640", b"400")
        assert tf.io.decode_png(png).shape == (400, 640, 3)
        assert len(png) < 50_000


def test_a_picture_shows_the_rates():
    dark, bright = rates_over_epochs(np.array([[0.0, 1.0]]))[[130, 270], 300]
    assert dark.tolist() == [68, 1, 84]
    assert bright.tolist() == [253, 231, 36]


def test_runs_are_compared_by_their_flags_and_results(whole_run, events):
    run, _ = whole_run
    ((_, value),) = events["test", metadata.SESSION_START_INFO_TAG]
    info = metadata.parse_session_start_info_plugin_data(value.metadata.plugin_data.content)
    assert info.group_name == str(run.path)
    flags = info.hparams
    assert flags["gate"].string_value == "dependent"
    assert flags["network"].string_value == "cifar_resnet8"
    numbers = {name: flags[name].number_value for name in ("target_rate", "learning_rate", "seed")}
    assert numbers == {"target_rate": 0.5, "learning_rate": 0.05, "seed": 1.0}
    assert "output_dir" not in flags
    threshold = json.loads(run.metrics.read_text())["policies"][0]
    for name in ("top1_error", "top5_error", "rate", "macs", "macs_share"):
        ((_, value),) = events["test", name]
        assert scalar(value) == pytest.approx(threshold[name])
    assert {run for run, _ in events} == {"train", "validation", "gates", "test"}


def test_results_of_a_run_that_is_evaluated_again_stand_there_once(tmp_path):
    for error in (9.0, 8.0):
        write_hparams(tmp_path / "test", "runs/a", {"seed": "1"}, {"top1_error": error})
    ((_, value),) = read_events(tmp_path)["test", "top1_error"]
    assert scalar(value) == 8.0


def test_a_plain_network_has_no_gates_to_show(training, tmp_path):
    run = RunFolder(tmp_path / "plain")
    finished = forked(*training(run.path, "--epochs=1", "--gate=none", "--image_size=8"))
    assert finished.returncode == 0, finished.stderr
    found = read_events(run.tensorboard)
    assert {run for run, _ in found} == {"train", "validation", "test"}
    ((_, value),) = found["test", "macs_share"]
    assert scalar(value) == 1.0
    card = run.card.read_text()
    assert "a plain network in which every branch is always run" in card
    assert "None: every branch is run for every image." in card
    assert "\n| no gates " in card
    assert "collapsed" not in card


def test_events_that_stay_are_on_the_disk_before_their_name_is(tmp_path, monkeypatch):
    with tf.summary.create_file_writer(str(tmp_path)).as_default():
        tf.summary.scalar("epoch_loss", 0.1, step=0)
    (path,) = tmp_path.iterdir()
    disk = Disk(monkeypatch)
    keep_events(tmp_path, 1, 5)
    disk.assert_durable(path)


def hparams(folder):
    write_hparams(folder, "runs/a", {}, {"top1_error": 9.0})


def training_begins(folder):
    callback = TensorBoard(folder, None, None)
    callback.set_model(keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)]))
    callback.on_train_begin()


def resumed(folder):
    with tf.summary.create_file_writer(str(folder)).as_default():
        tf.summary.scalar("epoch_loss", 0.1, step=0)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        keep_events(folder, 1, 5)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        # The events that were there stay, and nothing else is left.
        assert [path.name.split(".")[0] for path in folder.iterdir()] == ["events"]


@pytest.mark.parametrize("action", [hparams, training_begins, resumed])
def test_where_events_cannot_be_written_a_line_says_so(tmp_path, action):
    """As on a full disk, of which TensorFlow tells by an error of its own."""
    folder = tmp_path / "tb"
    if action is not resumed:
        folder.write_text("a file")
    with pytest.raises(UserError, match=rf"Cannot write what TensorBoard shows to {folder}: "):
        action(folder)


def test_events_of_an_unfinished_epoch_go(tmp_path):
    """And half an event, which a kill leaves."""
    with tf.summary.create_file_writer(str(tmp_path / "train")).as_default():
        for epoch in range(4):
            tf.summary.scalar("evaluation_loss_vs_iterations", 0.1, step=5 * (epoch + 1))
            tf.summary.scalar("epoch_loss", 0.1 * epoch, step=epoch)
    (path,) = (tmp_path / "train").iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    keep_events(tmp_path, 2, 5)
    assert steps(tmp_path) == {
        ("train", "evaluation_loss_vs_iterations"): [5, 10],
        ("train", "epoch_loss"): [0, 1],
    }
    (first,) = tf.data.TFRecordDataset(str(path)).take(1).as_numpy_iterator()
    assert Event.FromString(first).file_version == "brain.Event:2"
    assert [file.name for file in (tmp_path / "train").iterdir()] == [path.name]
    keep_events(tmp_path, 0, 5)
    assert steps(tmp_path) == {}
    keep_events(tmp_path / "missing", 0, 5)
