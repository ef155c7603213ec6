"""Flag files are recipes: a header with the command, known flags, sound values."""

import pathlib

import pytest
from absl import flags

import tfgates.flags
from tfgates.config import TrainConfig

FILES = sorted(pathlib.Path(__file__).parents[1].glob("flags/**/*.cfg"))


@pytest.fixture
def train_flags(monkeypatch):
    values = flags.FlagValues()
    monkeypatch.setattr(flags, "FLAGS", values)
    original = {name: getattr(flags, name) for name in dir(flags) if name.startswith("DEFINE_")}
    for name, define in original.items():
        monkeypatch.setattr(flags, name, _bound(define, values))
    monkeypatch.setattr(flags, "register_validator", _bound(flags.register_validator, values))
    tfgates.flags.define_flags()
    return values


def _bound(function, values):
    return lambda *args, **kwargs: function(*args, flag_values=values, **kwargs)


def test_there_are_flag_files():
    assert FILES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_flag_file(path, train_flags):
    lines = path.read_text().splitlines()
    assert any(f"#   python train.py --flagfile=flags/{path.name}" in line for line in lines)
    for number, line in enumerate(lines, 1):
        # A comment elsewhere than in the first column becomes part of a value.
        assert line.startswith(("#", "--")) or not line, f"{path.name}:{number}: {line}"
        assert line.startswith("#") or "#" not in line, f"{path.name}:{number}: {line}"
        assert '"' not in line or line.startswith("#"), f"{path.name}:{number}: {line}"
        assert line == line.rstrip(), f"{path.name}:{number}"
    arguments = [line for line in lines if line.startswith("--")]
    left = train_flags(["train.py", *arguments])
    assert left == ["train.py"]
    settings = TrainConfig.from_flags()
    names = [argument.split("=")[0] for argument in arguments]
    assert len(names) == len(set(names)), "a flag stands twice; the last one would win"
    assert settings.output_dir == f"runs/{path.stem}"


def test_a_run_repeats_from_its_own_flag_file(train_flags):
    train_flags(["train.py", "--target_rate=0.4", "--deterministic", "--decay_epochs=2,5"])
    settings = TrainConfig.from_flags()
    train_flags.unparse_flags()
    train_flags(["train.py", *settings.as_flagfile().splitlines()])
    assert TrainConfig.from_flags() == settings
