"""The logs of a run that goes on: cut where an epoch was not finished, refused where damaged."""

import numpy as np
import pytest
from examples import own_lines
from processes import forked
from runs_alike import contents

from tfgates.base.errors import UserError
from tfgates.training.logs import best_epoch, gate_rates, keep_rows, read_rows

LOG = "epoch,gate/a,val_accuracy\n0,0.5,0.1\n1,0.25,0.3\n2,0.5,0.2\n"


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(LOG)
    return path


def test_finished_epochs_stay(log):
    assert best_epoch(log) == 2
    np.testing.assert_array_equal(gate_rates(log), [[0.5], [0.25], [0.5]])
    # What a kill has cut off, and what a power cut has left, are no rows.
    log.write_text(f"{LOG}3,0.5,0.9\n3,0.5\n\0\0\0")
    keep_rows(log, "epoch", 1)
    assert log.read_text().splitlines() == LOG.splitlines()[:3]
    log.write_text("")
    keep_rows(log, "epoch", 1)
    assert not log.exists()
    keep_rows(log, "epoch", 1)
    assert best_epoch(log) == 0


DAMAGES = {
    "no text": lambda text: text.encode() + b"\xff",
    "a long cell": lambda text: f"{text}{'x' * 200_000}".encode(),
    "a lost column": lambda text: text.replace("gate/a", "gate/b").encode(),
    "no header": lambda text: text.partition("\n")[2].encode(),
    "no number": lambda text: text.replace("0.25", "half").encode(),
    "not finite": lambda text: text.replace("0.25", "nan").encode(),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_log_is_refused_and_stays(log, damage):
    log.write_bytes(damage(LOG))
    before = log.read_bytes()
    with pytest.raises(UserError, match=r"log\.csv is damaged: .*move it away"):
        read_rows(log, "epoch", 1, ["val_accuracy", "gate/a"])
    assert log.read_bytes() == before


@pytest.mark.parametrize("name", ["log.csv", "rates.csv"])
def test_a_run_does_not_go_on_with_a_damaged_log(copied_run, training, name):
    """It is said before an epoch is trained, and nothing changes."""
    with (copied_run.path / name).open("ab") as file:
        file.write(b"\xff")
    before = contents(copied_run.path)
    refused = forked(*training(copied_run.path, "--epochs=4"))
    assert refused.returncode == 2
    (line,) = own_lines(refused.stderr)
    assert f"{name} is damaged: UnicodeDecodeError" in line
    assert "Epoch" not in refused.stdout
    assert contents(copied_run.path) == before
