"""Files that are written as a whole or not at all."""

import pytest
from disk import Disk

from tfgates.base.files import put_in_place, replacing


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
