"""The rows of many runs that the benchmarks share: none is lost, none is believed blindly."""

import pytest
from examples import with_flags

from benchmarks import fashion_runs, rows
from tfgates.base.errors import UserError

SHIPPED = fashion_runs.RESULTS.read_text()


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Path of a copy of the shipped rows, in place of them."""
    path = tmp_path / "fashion_mnist.csv"
    path.write_text(SHIPPED)
    monkeypatch.setattr(fashion_runs, "RESULTS", path)
    return path


def test_a_row_is_added_to_those_that_are_there_by_now(results):
    before = rows.read(results)
    name, row = next(iter(before.items()))
    results.write_text("\n".join(line for line in SHIPPED.splitlines() if name not in line) + "\n")
    rows.add(results, row)
    assert rows.read(results) == before
    rows.add(results, {**row, "run": "another"})
    assert set(rows.read(results)) == {*before, "another"}


def test_a_row_is_taken_for_its_flags_alone(results):
    flagfile = "--flagfile=flags/fashion_mnist.cfg"

    def known(*flags):
        one = "gate=none"
        return with_flags(lambda: fashion_runs.train([fashion_runs.settings(one, 1)], 1), *flags)

    (row,) = known(flagfile).values()
    assert row == rows.read(results)["gate=none,seed=1"]
    for flags in ([flagfile, "--epochs=4"], ["--dataset=fashion_mnist"]):
        with pytest.raises(UserError, match="gate=none,seed=1 that was trained with other flags"):
            known(*flags)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-40],
        lambda text: text.replace(",10", ",x", 1),
        lambda text: text.replace(",10", ",nan,", 1),
        lambda text: text.replace(",gate_rates", "", 1),
        lambda text: "<<<<<<< HEAD\n" + text,
        lambda text: "garbage\n",
        lambda text: "",
    ],
)
def test_a_damaged_file_is_refused(results, damage):
    results.write_text(damage(SHIPPED))
    with pytest.raises(UserError, match=r"fashion_mnist\.csv is damaged.*git checkout"):
        rows.read(results)
