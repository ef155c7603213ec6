"""What TensorFlow prints of its start is not shown; nothing else is lost."""

import signal
import textwrap

import pytest
from examples import ROOT, run_script

STARTS = [
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    "I0000 00:00:1796078676.064937   12216 port.cc:153] oneDNN custom operations are on. You may",
    "I0000 00:00:1796078676.065327   12216 cudart_stub.cc:31] Could not find cuda drivers on your "
    "machine, GPU will not be used.",
    "I0000 00:00:1796078676.208971   12216 cpu_feature_guard.cc:227] This TensorFlow binary is "
    "optimized to use available CPU instructions in performance-critical operations.",
    "To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow with "
    "the appropriate compiler flags.",
    "E0000 00:00:1796078681.941990   12216 cuda_platform.cc:52] failed call to cuInit: INTERNAL: "
    "CUDA error: Failed call to cuInit: UNKNOWN ERROR (303)",
    "E0000 00:00:1736078676.064937   12216 cuda_dnn.cc:8310] Unable to register cuDNN factory: "
    "Attempting to register factory for plugin cuDNN when one has already been registered",
]
# Of a GPU that does not work, of a graph, and of nothing that is known.
OTHERS = [
    "W0000 00:00:1796078681.941990   12216 gpu_device.cc:2341] Cannot dlopen some GPU libraries.",
    "E0000 00:00:1796078681.941990   12216 cuda_platform.cc:52] failed call to cuInit: INTERNAL: "
    "CUDA error: Failed call to cuInit: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
    "Größe",
    "I0000 00:00:1796078681.941990 12216 other.cc:1] oneDNN",
]


@pytest.fixture(autouse=True)
def fresh_keras():
    """Keras is not used here, and clearing it takes a tenth of a second each time."""


@pytest.fixture
def run(tmp_path):
    """Function (block) -> the finished process of a script with that block under `quiet`."""

    def run_block(block):
        script = tmp_path / "script.py"
        script.write_text(
            "import os, signal, subprocess, sys\n"
            "TFGATES_COMMAND = 'script'\n"
            "from tfgates.base.quiet import quiet\n"
            "def say(line): os.write(2, line.encode())\n"
            f"lines = {[one for pair in zip(STARTS, OTHERS * 2, strict=False) for one in pair]}\n"
            "os.write(2, b'before\\n')\n"
            "with quiet():\n" + textwrap.indent(textwrap.dedent(block), "    ") + "\n"
            "os.write(2, b'after')\n"
        )
        return run_script(script, environment={"PYTHONPATH": str(ROOT)})

    return run_block


def test_what_is_known_is_dropped_and_the_rest_is_passed_on_in_its_order(run):
    shown = run("for line in lines: say(line + '\\n')")
    others = [*OTHERS, *OTHERS][: len(STARTS)]
    assert shown.stderr.splitlines() == ["before", *others, "after"]
    assert shown.returncode == 0


def test_a_line_without_an_end_is_whole(run):
    assert run("say('no'); say('thing'); print('of', end='', file=sys.stderr)").stderr == (
        "before\nnothingofafter"
    )


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("os.abort()", -signal.SIGABRT),
        ("os._exit(3)", 3),
        ("sys.exit(4)", 4),
    ],
)
def test_nothing_is_lost_where_the_process_ends(run, end, code):
    ended = run(f"for line in lines: say(line + '\\n')\nsay('the last'); {end}")
    assert ended.returncode == code
    assert ended.stderr.splitlines()[-2:] == [OTHERS[2], "the last"]


def test_an_error_is_that_of_the_block(run):
    ended = run("raise ValueError('why')")
    assert ended.returncode == 1
    assert ended.stderr.endswith("ValueError: why\n")


def test_a_process_that_holds_the_pipe_holds_nothing_up(run):
    ended = run("subprocess.Popen(['sleep', '60'], stdout=subprocess.DEVNULL); say('one\\n')")
    assert ended.stderr == "before\none\nafter"


@pytest.mark.parametrize(("flags", "shown"), [((), OTHERS[:1]), (("--verbose",), [])])
def test_a_command_is_quiet_unless_it_is_verbose(tmp_path, flags, shown):
    lines = [STARTS[0], OTHERS[0]]
    (tmp_path / "keras.py").write_text(
        f"import os\nfor line in {lines}: os.write(2, line.encode() + b'\\n')\n"
        "raise SystemExit(os.environ.get('TF_CPP_MIN_LOG_LEVEL'))\n"
    )
    environment = {"PYTHONPATH": str(tmp_path), "TF_CPP_MIN_LOG_LEVEL": ""}
    ended = run_script("train.py", *flags, environment=environment)
    assert ended.stderr.splitlines()[:-1] == (shown or lines)
