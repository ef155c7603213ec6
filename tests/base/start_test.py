"""--help, and what is mistyped, is answered at once: before TensorFlow is imported."""

import pytest
from examples import run_script

import tfgates

# Each with a flag of its own.
COMMANDS = {
    "train.py": "--target_rate",
    "serving/server.py": "--model_base_path",
    "serving/client.py": "--in_flight",
    "serving/demo.py": "--run",
    "-m tfgates_client": "--in_flight",
    "-m tfgates.tools.train": "--target_rate",
    "-m tfgates.tools.gate": "--where",
    "-m tfgates.tools.evaluate": "--thresholds",
    "-m tfgates.tools.report": "--output",
    "-m tfgates.tools.prune": "--min_rate",
    "-m tfgates.tools.export": "--budget_macs",
    "-m tfgates.tools.bench": "--rounds",
    "-m tfgates.tools.sweep": "--grid",
    "-m tfgates.tools.serve": "--model_base_path",
    "-m tfgates.tools.classify": "--in_flight",
    "-m tfgates.tools.demo": "--run",
}


@pytest.fixture(autouse=True)
def fresh_keras():
    """Keras is not used here, and clearing it takes a tenth of a second each time."""


@pytest.fixture
def without_tensorflow(tmp_path):
    """Environment in which neither TensorFlow nor Keras can be imported."""
    for name in ("tensorflow", "keras"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(f'{__name__} is imported')\n")
    return {"PYTHONPATH": str(tmp_path)}


@pytest.mark.parametrize(("command", "flag"), COMMANDS.items(), ids=COMMANDS)
def test_help_lists_the_flags_of_the_command(command, flag, without_tensorflow):
    shown = run_script(*command.split(), "--help", environment=without_tensorflow)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert f"\n  {flag}: " in shown.stdout
    # absl's own are those of no command.
    assert "--pdb" not in shown.stdout
    assert ("--[no]verbose:" in shown.stdout) == (flag != "--in_flight")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("train.py --target_rat=0.4", ["target_rat"]),
        ("train.py --target_rate=40", ["--target_rate=40", "0.4"]),
        ("train.py --relax_epochs=9 --epochs=9", ["--relax_epochs=9 of --epochs=9"]),
        ("train.py --target_schedule=annealed --epochs=20", ["after 50 epochs"]),
        ("train.py stray", ["stray", "flags only"]),
        ("-m tfgates.tools.export --run=a --skip=lop", ["skip", "gather"]),
        ("-m tfgates.tools.evaluate", ["--run"]),
        ("serving/server.py --port=99999", ["port", "65535"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_mistyped_is_one_line(command, words, without_tensorflow):
    refused = run_script(*command.split(), environment=without_tensorflow)
    (line,) = refused.stderr.splitlines()
    assert (refused.returncode, refused.stdout) == (2, "")
    for word in words:
        assert word in line


def test_a_sound_command_imports_it_then(without_tensorflow):
    started = run_script("train.py", environment=without_tensorflow)
    assert (started.returncode, started.stderr) == (1, "keras is imported\n")


def test_the_library_has_all_names_at_once_where_no_command_starts():
    assert all(hasattr(tfgates, name) for name in tfgates.__all__)


def test_a_command_has_the_library_once_its_flags_are_read(tmp_path):
    """A file of one's own, as --code, sees what every program sees that imports tfgates."""
    (tmp_path / "own.py").write_text(
        "import keras, tfgates\n"
        "registered = keras.saving.get_registered_object('tfgates>GatedClassifier')\n"
        "print(tfgates.Gated.__name__, registered is tfgates.GatedClassifier)\n"
    )
    arguments = ["--model=none.keras", f"--code={tmp_path / 'own.py'}"]
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "0"}
    shown = run_script("-m", "tfgates.tools.gate", *arguments, environment=quiet)
    assert shown.stdout == "Gated True\n"
    # And nothing of TensorFlow's start.
    (line,) = shown.stderr.splitlines()
    assert "none.keras" in line
