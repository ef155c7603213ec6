"""The command `tfgates`: its commands are the tools, its recipes and data set come with it."""

import subprocess
import sys

import pytest
from examples import ROOT, run_script

import tfgates
from tfgates import __main__ as dispatch
from tfgates.base.shipped import SHIPPED, with_recipes


@pytest.fixture(autouse=True)
def fresh_keras():
    """Keras is not used here, and clearing it takes a tenth of a second each time."""


def run(*arguments, **options):
    return run_script("-m", "tfgates", *arguments, **options)


def test_its_commands_are_the_tools():
    tools = {path.stem for path in (ROOT / "tfgates/tools").glob("*.py")} - {"__init__"}
    assert set(dispatch.COMMANDS) == tools
    listed = run()
    assert listed.returncode == 0
    for name in tools:
        assert f"\n  {name} " in listed.stdout


def test_a_command_is_its_tool():
    for arguments in (["--help"], ["--target_rate=4"]):
        named, tool = run("train", *arguments), run_script("-m", "tfgates.tools.train", *arguments)
        assert (named.returncode, named.stdout, named.stderr) == (
            *(tool.returncode, tool.stdout, tool.stderr),
        )
    assert "--target_rate=4" in named.stderr


def test_the_program_starts_without_tensorflow(tmp_path):
    """What pip makes of the entry point; the name of the file says that it is a command."""
    program = tmp_path / "tfgates"
    program.write_text("import sys\nfrom tfgates.__main__ import main\nsys.exit(main())\n")
    (tmp_path / "keras.py").write_text("raise SystemExit('keras is imported')\n")
    environment = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    shown = run_script(program, "--version", environment=environment)
    assert (shown.returncode, shown.stdout) == (0, f"tfgates {tfgates.__version__}\n")
    assert run_script(program, "train", environment=environment).stderr == "keras is imported\n"


def test_an_unknown_command_is_one_line():
    refused = run("trian")
    (line,) = refused.stderr.splitlines()
    assert refused.returncode == 2
    assert "demo, gate, train" in line
    assert "'trian'" in line


def test_a_recipe_is_that_of_the_package_where_there_is_no_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped = str(SHIPPED / "flags/demo.cfg")
    assert with_recipes(["a", "--flagfile=flags/demo.cfg"]) == ["a", f"--flagfile={shipped}"]
    assert with_recipes(["--flagfile", "flags/demo.cfg"]) == ["--flagfile", shipped]
    others = ["flags/demo.cfg", "--flagfile=flags/none.cfg", "--flagfile=other/demo.cfg"]
    assert with_recipes(others) == others
    (tmp_path / "flags").mkdir()
    (tmp_path / "flags/demo.cfg").touch()
    assert with_recipes(["--flagfile=flags/demo.cfg"]) == ["--flagfile=flags/demo.cfg"]


def test_what_is_shipped_is_what_lies_in_the_repository():
    for folder in ("flags", "datasets/fashion_mnist_13k"):
        names = {path.name for path in (SHIPPED / folder).rglob("*")}
        assert names == {path.name for path in (ROOT / folder).rglob("*")} != set()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["re"], ["report"]),
        (["export", "--budget_m"], ["--budget_macs", "--budget_ms"]),
        (["evaluate", "--ga"], ["--gain"]),
        (["evaluate", "runs/"], []),
    ],
)
def test_a_shell_completes_commands_and_flags(words, expected):
    script = f"""
        tfgates() {{ {sys.executable} -m tfgates "$@"; }}
        eval "$(tfgates completion)"
        COMP_WORDS=(tfgates {" ".join(words)}) COMP_CWORD={len(words)}
        _tfgates
        echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout.split(), done.stderr) == (expected, "")
