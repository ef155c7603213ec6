"""Damaged checkpoints: passed over where there is one before, else refused; why none tears."""

import os
import resource
import shutil

import h5py
import keras
import numpy as np
import pytest
from disk import Disk
from examples import small_network
from trained import batches, compiled

from tfgates.base.errors import UserError
from tfgates.training import checkpoint


def trained(folder, epochs):
    """Trains a small network for some epochs and returns it."""
    log = folder / "log.csv"
    classifier = compiled(small_network())
    classifier.fit(
        batches(2), epochs=epochs, verbose=0, callbacks=[checkpoint.Checkpoint(folder, log)]
    )
    return classifier


def weights(classifier):
    return [
        variable.numpy() for variable in (*classifier.variables, *classifier.optimizer.variables)
    ]


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def empty(path):
    os.truncate(path, 0)


def change_one_byte(path):
    """Of an array, where nothing but a checksum tells."""
    arrays_of_file = []
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: (
                arrays_of_file.append(item.id.get_offset())
                if isinstance(item, h5py.Dataset) and item.size > 1000
                else None
            )
        )
    with path.open("r+b") as file:
        file.seek(arrays_of_file[0] + 100)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 255]))


@pytest.mark.parametrize("damage", [truncate, empty, change_one_byte])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path, capsys, damage):
    trained(tmp_path, 2)
    paths = checkpoint.files(tmp_path)
    before = compiled(small_network())
    shutil.copy(paths[1], tmp_path / "kept.weights.h5")
    damage(paths[2])
    restored = compiled(small_network())
    assert checkpoint.restore(tmp_path, restored) == 1
    assert "epoch-0002.weights.h5 is damaged: going on from" in capsys.readouterr().out
    checkpoint.load(tmp_path / "kept.weights.h5", before)
    for ours, theirs in zip(weights(restored), weights(before), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_where_no_checkpoint_can_be_read_the_run_is_refused_and_they_stay(tmp_path):
    trained(tmp_path, 2)
    for path in checkpoint.files(tmp_path).values():
        path.write_bytes(b"no checkpoint")
    with pytest.raises(UserError, match=r"Every.*damaged: epoch-0002.*epoch-0001.*--output_dir"):
        checkpoint.restore(tmp_path, compiled(small_network()))
    assert (tmp_path / "epoch-0001.weights.h5").exists()


def test_a_checkpoint_is_on_the_disk_before_its_name_is(tmp_path, monkeypatch):
    (tmp_path / "log.csv").write_text("epoch,val_accuracy\n0,0.5\n")
    disk = Disk(monkeypatch)
    trained(tmp_path, 1)
    for name in ("epoch-0001.weights.h5", "best-0001.weights.h5"):
        disk.assert_durable(tmp_path / name)


def test_a_disk_that_fills_up_is_one_error_and_nothing_else(tmp_path, capfd):
    """h5py says more on stderr, by itself, where it closes a file that it could not write."""
    model = keras.Sequential([keras.Input((9,)), *(keras.layers.Dense(9) for _ in range(20))])
    model.compile("sgd")
    model.optimizer.build(model.trainable_variables)
    callback = checkpoint.Checkpoint(tmp_path, tmp_path / "log.csv")
    callback.set_model(model)
    callback.on_epoch_end(0)
    size = checkpoint.files(tmp_path)[1].stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    capfd.readouterr()
    for share in (0.01, 0.3, 0.9, 0.99):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(share * size), limits[1]))
        try:
            with pytest.raises(UserError, match="Cannot write the checkpoint of epoch 2"):
                callback.on_epoch_end(1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert capfd.readouterr().err == ""
    assert list(checkpoint.files(tmp_path)) == [1]
    assert not list(tmp_path.glob("unfinished-*"))
