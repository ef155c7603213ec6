"""The cut of a folder of pictures: of every class its share, and an earlier run's as it was."""

import collections
import itertools
import pathlib
import shutil

import pytest
from examples import real_images, train_settings

from tfgates.data import datasets
from tfgates.data.cutting import AT_THE_END, BY_CLASS, cut
from tfgates.data.labels import absent
from tfgates.data.preprocess import Preprocessing
from tfgates.runs.data import open_data, recorded_splits
from tfgates.runs.folder import RunFolder

SPLITS = ["validation", "test"]


def files(**counts):
    """Names of pictures, classes one after the other."""
    return [(f"{name}/{index}", name) for name, n in counts.items() for index in range(n)]


def counted(parts):
    return {split: dict(collections.Counter(name for _, name in parts[split])) for split in parts}


def test_every_class_has_its_share_in_each_split():
    train = files(many=200, few=30, rare=3, two=2)
    parts, words = cut(train, SPLITS)
    assert counted(parts) == {
        "validation": {"many": 20, "few": 3, "rare": 1},
        "test": {"many": 20, "few": 3, "rare": 1},
        "train": {"many": 160, "few": 24, "rare": 1, "two": 2},
    }
    assert sorted(itertools.chain(*parts.values())) == sorted(train)
    assert words == dict.fromkeys(SPLITS, f"24 {BY_CLASS}")
    # Each split keeps the order that mixes the classes.
    for part in parts.values():
        assert part == [file for file in train if file in part]
    assert cut(train, SPLITS) == (parts, words)
    only, _ = cut(train, ["test"])
    assert counted(only)["test"] == {"many": 20, "few": 3, "rare": 1}


def test_no_more_than_ten_thousand_are_cut():
    train = [(index, index % 1000) for index in range(300_000)]
    parts, _ = cut(train, SPLITS)
    assert set(counted(parts)["validation"].values()) == {10}
    assert len(parts["validation"]) == len(parts["test"]) == 10_000


def test_a_cut_of_an_earlier_version_is_kept():
    """The end of all, whatever its classes; see the words that its data.json has."""
    train = files(a=60, b=40)
    before = {"train": "80 pictures", **dict.fromkeys(SPLITS, f"10 {AT_THE_END}")}
    parts, words = cut(train, SPLITS, before)
    assert parts == {"validation": train[90:], "test": train[80:90], "train": train[:80]}
    assert words == {split: before[split] for split in SPLITS}
    own = {"train": "100 pictures", **dict.fromkeys(SPLITS, "5 pictures of its own")}
    assert cut(train, SPLITS, own) == cut(train, SPLITS)


@pytest.fixture
def folder(tmp_path):
    """A folder of 40 pictures of one class and 3 of another."""
    for index, image in enumerate(real_images(43)[0]):
        path = tmp_path / "pictures" / ("rare" if index < 3 else "usual") / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image)
    return f"folder:{tmp_path}/pictures"


def test_a_run_is_evaluated_on_what_it_was_validated_on(folder, tmp_path):
    dataset = datasets.open_dataset(folder)
    assert {len(dataset.present(split)) for split in dataset.splits} == {2}
    assert absent(dataset) is None
    before = datasets.open_dataset(folder, recorded={"test": f"4 {AT_THE_END}"})
    for name, one in (("new", dataset), ("old", before)):
        run = RunFolder(tmp_path / name)
        run.path.mkdir()
        run.write_data(one, Preprocessing(32), ((0.0,) * 3, (1.0,) * 3))
        assert open_data(run) == one
    assert dataset.splits != before.splits
    # What goes on, or grows out of a run, keeps its cut; so does a run that is resumed.
    for flags in (
        ["--init_from=old"],
        ["--network=run:old"],
        ["--teacher=run:old", "--gate=none"],
        ["--output_dir=old"],
    ):
        flags = [flag.replace("old", f"{tmp_path}/old") for flag in flags]
        (tmp_path / "old/checkpoints").mkdir(exist_ok=True)
        (tmp_path / "old/checkpoints/epoch-0001.weights.h5").touch()
        settings = train_settings(f"--dataset={folder}", *flags)
        assert recorded_splits(settings) == before.splits
    shutil.rmtree(tmp_path / "old/checkpoints")
    assert recorded_splits(train_settings(f"--dataset={folder}", *flags)) is None


def test_a_class_that_a_split_lacks_is_named(folder, small_set):
    pathlib.Path(folder.removeprefix("folder:"), "rare", "0.png").unlink()
    line = absent(datasets.open_dataset(folder))
    assert "in validation: rare; in test: rare." in line
    assert "train:" not in line
    stored = datasets.open_dataset("my_set", small_set)
    labels = {int(label) for _, label in stored.records("test")}
    missing = [str(index) for index in range(10) if index not in labels]
    assert f"in test: {', '.join(missing[:5])}" in absent(stored)
