"""A run folder that is taken: by one process at a time, and left as it was where nothing came."""

import pytest

from tfgates.base.errors import UserError
from tfgates.base.lock import locked


def test_it_is_made_and_taken_once_at_a_time(tmp_path):
    folder = tmp_path / "a/b"
    with (
        locked(folder),
        pytest.raises(UserError, match="Another process trains in"),
        locked(folder),
    ):
        pass
    assert folder.is_dir()
    with locked(folder):
        pass


def test_a_new_folder_in_which_nothing_came_to_be_is_removed(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(KeyboardInterrupt), locked(tmp_path / "a/b/c"):
        raise KeyboardInterrupt
    assert list(tmp_path.rglob("*")) == [tmp_path / "a"]


def test_what_is_in_the_folder_stays(tmp_path):
    (tmp_path / "flags.cfg").write_text("--seed=1\n")
    with pytest.raises(FileExistsError), locked(tmp_path):
        (tmp_path / "flags.cfg").touch(exist_ok=False)
    assert [path.name for path in tmp_path.iterdir()] == ["flags.cfg"]


def test_a_lock_that_was_there_stays(tmp_path):
    (tmp_path / ".lock").touch()
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        raise ZeroDivisionError
    assert (tmp_path / ".lock").exists()


def test_a_lock_that_is_removed_meanwhile_is_not_taken(tmp_path):
    """Another process may have made, and taken, one of the same name."""
    with locked(tmp_path):
        (tmp_path / ".lock").unlink()
        with locked(tmp_path):
            pass


def test_a_place_that_is_no_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"--output_dir=.*file/run cannot be used"):
        locked(tmp_path / "file/run").__enter__()
