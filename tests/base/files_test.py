"""Files that are written as a whole or not at all."""

import multiprocessing
import os

import pytest
from disk import Disk

from tfgates.base.files import HOST, in_place_of, put_in_place, replacing


def test_a_file_takes_the_place_of_another_when_it_is_whole(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("before")
    with replacing(path, newline="") as file:
        file.write("a,b\r\n")
        assert path.read_text() == "before"
    assert path.read_bytes() == b"a,b\r\n"
    assert [one.name for one in tmp_path.iterdir()] == ["table.csv"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_where_writing_fails_the_file_that_was_there_stays(tmp_path, error):
    path = tmp_path / "table.csv"
    path.write_text("before")

    def write():
        with replacing(path) as file:
            file.write("half")
            raise error

    with pytest.raises(error):
        write()
    assert path.read_text() == "before"
    assert [one.name for one in tmp_path.iterdir()] == ["table.csv"]


def test_a_file_is_on_the_disk_before_its_name_is(tmp_path, monkeypatch):
    disk = Disk(monkeypatch)
    with replacing(tmp_path / "table.csv") as file:
        file.write("whole")
    disk.assert_durable(tmp_path / "table.csv")


def test_a_folder_is_on_the_disk_before_its_name_is(tmp_path, monkeypatch):
    unfinished = tmp_path / ".tmp"
    (unfinished / "variables").mkdir(parents=True)
    (unfinished / "variables/data").write_text("whole")
    disk = Disk(monkeypatch)
    put_in_place(unfinished, tmp_path / "1")
    disk.assert_durable(tmp_path / "1")
    assert (tmp_path / "1/variables/data").read_text() == "whole"
    assert [one.name for one in tmp_path.iterdir()] == ["1"]


def test_what_killed_processes_have_left_is_removed(tmp_path):
    dead = multiprocessing.get_context("fork").Process(target=os.getpid)
    dead.start()
    dead.join()
    names = [f".tmp-7-{HOST}-{dead.pid}", f".tmp-a.csv-{HOST}-{dead.pid}"]
    others = {f".tmp-8-{HOST}-{os.getppid()}", f".tmp-9-elsewhere-{dead.pid}", ".tmp-10"}
    for name in (*names, *others):
        (tmp_path / name / "variables").mkdir(parents=True)
    with in_place_of(tmp_path / "7") as unfinished:
        unfinished.mkdir()
        assert {path.name for path in tmp_path.iterdir()} == {*others, unfinished.name}
    assert {path.name for path in tmp_path.iterdir()} == {*others, "7"}


def test_two_processes_write_one_file_and_one_of_them_wins(tmp_path):
    path = tmp_path / "report.html"

    def write(text):
        with replacing(path) as file:
            file.write(text)

    with replacing(path) as file:
        file.write("ours")
        other = multiprocessing.get_context("fork").Process(target=write, args=("theirs",))
        other.start()
        other.join()
        assert other.exitcode == 0
        assert path.read_text() == "theirs"
    assert path.read_text() == "ours"
    assert list(tmp_path.iterdir()) == [path]
