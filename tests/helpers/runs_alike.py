"""Whether two runs were trained alike, bit by bit."""

import json

import h5py
import numpy as np
from event_files import steps

from tfgates.runs.folder import RunFolder

# Running sums of the metrics are no part of what is trained.
RUNNING = ("_metrics", "gate_rates", "_loss_tracker", "_compile_metrics")


def arrays(path):
    """Returns all data sets of an HDF5 file by name."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: found.update({name: item[()]}) if hasattr(item, "shape") else None
        )
    return found


def results(run):
    """Returns metrics.json without the digest of the model's file, which holds its date."""
    metrics = json.loads(run.metrics.read_text())
    assert metrics.pop("model_sha256") == RunFolder(run.path).digest
    return metrics


def assert_trained_alike(resumed, whole):
    """Checkpoints, model, logs and results of two runs are identical."""
    names = [path.name for path in sorted(whole.checkpoints.iterdir())]
    assert [path.name for path in sorted(resumed.checkpoints.iterdir())] == names
    for name in names:
        expected, found = (arrays(run.checkpoints / name) for run in (whole, resumed))
        assert found.keys() == expected.keys()
        for key, values in expected.items():
            if not key.startswith(RUNNING):
                np.testing.assert_array_equal(found[key], values, err_msg=key)
    for ours, theirs in zip(
        resumed.load_classifier().variables, whole.load_classifier().variables, strict=True
    ):
        np.testing.assert_array_equal(ours, theirs, err_msg=ours.path)
    for name in ("log.csv", "rates.csv", "data.json"):
        assert (resumed.path / name).read_text() == (whole.path / name).read_text(), name
    assert results(resumed) == results(whole)
    assert steps(resumed.tensorboard) == steps(whole.tensorboard)


def contents(folder):
    """Returns the bytes of all files of a folder by their names, and None of the folders in it."""
    return {
        str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
    }
