"""flags.cfg: what an older file lacks has its default, what is no flag is named."""

import pytest
from examples import train_settings

from tfgates.base.errors import UserError
from tfgates.settings import flagfile
from tfgates.settings.flags import TABLE


@pytest.fixture
def path(tmp_path):
    """Path of the file of a run with a target rate of its own."""
    flagfile.write(tmp_path / "flags.cfg", train_settings("--target_rate=0.4"))
    return tmp_path / "flags.cfg"


def test_it_is_read_as_it_was_written(path):
    settings = train_settings("--target_rate=0.4")
    assert flagfile.read(path) == (settings.as_texts(), [])
    assert flagfile.read(path)[0]["target_rate"] == "0.4"
    flagfile.require_same(path, settings)


@pytest.mark.parametrize("name", TABLE)
def test_a_flag_that_it_lacks_has_its_default(path, name):
    lines = path.read_text().splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(f"--{name}=")]
    assert len(kept) == len(lines) - 1
    path.write_text("".join(kept))
    texts, unknown = flagfile.read(path)
    assert texts == {**train_settings("--target_rate=0.4").as_texts(), name: texts[name]}
    assert texts[name] == train_settings().as_texts()[name]
    assert unknown == []


def test_the_default_of_a_flag_that_it_lacks_is_compared(path):
    path.write_text(path.read_text().replace("--target_rate=0.4\n", ""))
    flagfile.require_same(path, train_settings("--epochs=9", "--jit"))
    with pytest.raises(UserError, match=r"a run with --target_rate=0\.5, and this one .*=0\.4\."):
        flagfile.require_same(path, train_settings("--target_rate=0.4"))


@pytest.mark.parametrize("flag", ["--learning_rate_schedule=cosine", "--gate_temperature=5,0.1"])
def test_a_course_over_all_epochs_is_not_made_longer(path, flag):
    flagfile.write(path, train_settings(flag, "--epochs=6"))
    flagfile.require_same(path, train_settings(flag, "--epochs=6"))
    name = flag.split("=")[0]
    with pytest.raises(UserError, match=rf"--epochs=6, over which {name} .*--epochs=7"):
        flagfile.require_same(path, train_settings(flag, "--epochs=7"))


@pytest.mark.parametrize("line", ["--colour=red", "--target_ra", "--deterministic", "gate=none"])
def test_a_line_of_no_flag_is_named(path, line):
    path.write_text(f"# Old.\n\n{line}\n{path.read_text()}")
    texts, unknown = flagfile.read(path)
    assert unknown == [line]
    assert texts == train_settings("--target_rate=0.4").as_texts()
    with pytest.raises(UserError, match=rf"flags\.cfg is made of flags.*Received: {line}\."):
        flagfile.require_same(path, train_settings("--target_rate=0.4"))


def test_a_file_that_is_no_text_is_named(path):
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"flags\.cfg is damaged"):
        flagfile.read(path)


@pytest.mark.parametrize(("name", "text"), [("epochs", "9" * 4400), ("target_rate", "half")])
def test_a_number_that_is_none_is_named(path, name, text):
    """Python itself refuses to read one of more than 4,300 digits."""
    path.write_text(f"{path.read_text()}--{name}={text}\n")
    with pytest.raises(UserError, match=rf"flags\.cfg is damaged: --{name}={text[:40]} is not"):
        flagfile.read(path)
