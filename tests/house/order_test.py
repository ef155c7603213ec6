"""The tests that take the longest begin first."""

import conftest
from examples import ROOT


def test_the_longest_files_are_there():
    names = [f"tests/{name}_test.py" for name in conftest.LONGEST]
    assert all((ROOT / name).is_file() for name in names)
    assert len(names) == len(set(names))
