"""Flag files are recipes: a header with the command, known flags, sound values."""

import pytest
from examples import ROOT, train_settings

FILES = sorted(ROOT.glob("flags/**/*.cfg"))


def test_there_are_flag_files():
    assert {"demo", "r50", "r50_independent", "r50_aig", "r101", "cifar_r110"} <= {
        path.stem for path in FILES
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_flag_file(path):
    lines = path.read_text().splitlines()
    header = [line for line in lines if line.startswith("#")]
    assert f"#   python train.py --flagfile=flags/{path.name}" in header
    assert any("aper" in line for line in header)
    assert any("Measured here" in line for line in header)
    for number, line in enumerate(lines, 1):
        # A comment elsewhere than in the first column becomes part of a value.
        assert line.startswith(("#", "--")) or not line, f"{path.name}:{number}: {line}"
        assert line.startswith("#") or "#" not in line, f"{path.name}:{number}: {line}"
        assert '"' not in line or line.startswith("#"), f"{path.name}:{number}: {line}"
        assert line == line.rstrip(), f"{path.name}:{number}"
    arguments = [line for line in lines if line.startswith("--")]
    names = [argument.split("=")[0] for argument in arguments]
    assert len(names) == len(set(names)), "a flag stands twice; the last one would win"
    assert train_settings(*arguments).output_dir == f"runs/{path.stem}"


def test_a_run_repeats_from_its_own_flag_file():
    settings = train_settings(
        "--target_rate=0.4",
        "--deterministic",
        "--decay_epochs=2,5",
        "--branch_targets=1,0.5,t,t,t,t,t,t,1",
    )
    assert train_settings(*settings.as_flagfile().splitlines()) == settings
