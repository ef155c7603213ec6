"""Every code block of the Markdown pages runs, or says why it cannot.

The rule, by the language behind the fence:

- `bash` runs, block by block, in a `Sandbox`, one for each page: there runs/demo is a small trained
  run with an export, photos/ and photo.jpg are real pictures, mine.keras is a small model, and
  training takes two steps.
- `python` runs too: the blocks of a page, one after the other, are one script, in the same place.
- A block in `NOT_RUN` does not run; its commands are looked up all the same, with their flags.
- Without a language, or as `text`, stands what a command prints. `math` and {directives} are for
  the site, whose build checks them.
"""

import re
import shutil

import pytest
from code_blocks import PAGES, Block, blocks_of, links_of, numbered
from examples import ROOT
from processes import forked
from sandbox import Sandbox

import tfgates
import tfgates_client

RUN = ("bash", "python")
SHOWN = ("", "text", "math")

DOCKER = "needs docker or Kubernetes, and the network"
IMAGENET = "needs ImageNet and GPUs"
MAKE = "takes minutes; .ci/run and tests/runs/tools_test.py do the same"
TIMES = "times networks for a minute"
# By page and the beginning of the block.
NOT_RUN = {
    ("README.md", "make demo "): MAKE,
    ("README.md", "pip install ."): "installs the package; make setup does",
    ("README.md", "docker run "): DOCKER,
    ("CONTRIBUTING.md", "make test "): MAKE,
    ("docs/serve.md", "pip install ./tfgates_client"): (
        "installs a package; tests/client/client_distribution_test.py builds and runs it"
    ),
    ("serving/README.md", "docker run "): DOCKER,
    ("serving/README.md", "curl "): DOCKER,
    ("datasets/README.md", "apt-get "): "installs a package; the data set is in the repository",
    (
        "docs/gate_your_model.md",
        "python train.py --dataset=folder:photos --output_dir=runs/fine",
    ): "downloads Keras's weights",
    ("docs/train.md", "python train.py --flagfile=flags/demo.cfg --output_dir=runs/taught"): (
        "trains for minutes; tests/training/checkpoint_test.py has a teacher"
    ),
    ("docs/look_inside.md", "python train.py --flagfile=flags/demo.cfg --gate=none"): (
        "trains for minutes; tests/report/report_test.py compares two runs"
    ),
    ("docs/look_inside.md", "python -m tfgates.tools.sweep"): (
        "trains for minutes; tests/runs/sweep_test.py"
    ),
    ("docs/leave_early.md", "python train.py --flagfile=flags/fashion_densenet.cfg"): (
        "trains for minutes; tests/training/exits_learn_test.py"
    ),
    ("docs/choose_features.md", "pip install "): (
        "searches for minutes; tests/examples/choose_features_test.py"
    ),
    ("docs/serve.md", "python -m tfgates.tools.bench"): (
        f"{TIMES}; tests/export/export_tool_test.py"
    ),
    ("docs/serve.md", "docker run "): DOCKER,
    ("docs/serve.md", "python serving/client.py --server=models.example"): "asks another host",
    ("docs/choose.md", "python -m tfgates.tools.prune"): f"{TIMES}; tests/runs/prune_tool_test.py",
    ("docs/choose.md", "python train.py --flagfile=runs/demo-pruned"): (
        "goes on from the pruned run; tests/runs/prune_tool_test.py"
    ),
    ("docs/choose.md", "python -m tfgates.tools.export --run=runs/demo --run=runs/demo-tuned"): (
        f"{TIMES}; tests/inference/budget_test.py"
    ),
    ("docs/several_hosts.md", "export TF_CONFIG="): (
        "needs two hosts; tests/training/multiworker_test.py"
    ),
    ("docs/train.md", "python train.py --dataset=folder:photos --output_dir=runs/fine"): (
        "downloads TorchVision's weights; tests/networks/pretrained_test.py reads such a file"
    ),
    ("docs/train.md", "python train.py --dataset=cifar10"): "downloads CIFAR-10",
    ("docs/train.md", "python train.py --flagfile=flags/r50.cfg\n"): IMAGENET,
    ("docs/train.md", "python train.py --flagfile=flags/r50.cfg --dataset=folder:photos"): (
        "trains a ResNet-50; tests/data/folder_test.py does the same"
    ),
}
# Instead of these commands stands one that only looks whether there is such a file or target.
STUBS = """
docker() { :; }
kubectl() { test -e "$3"; }
apt-get() { :; }
curl() { cat > /dev/null; }
pip() { test -e "${2%%[*}"; }
sh() { test -e "$1"; }
make() { command make --dry-run "$@" > /dev/null; }
"""
# What the blocks of a page have made is what it says.
THEN = {
    "docs/api.md": "assert (logits.shape, decisions.shape) == ((4, 10), (4, 9))",
    "CONTRIBUTING.md": "assert [float(tolerant(e)) for e in (-0.04, 0.05)] == [0, 0]\n"
    "assert abs(float(PENALTIES['tolerant'](-0.15)) - 0.01) < 1e-6",
}

BLOCKS = [block for page in PAGES for block in blocks_of(page)]
CODE = [block for block in BLOCKS if block.language in RUN]


def is_listed(block):
    return any(
        block.page == page and block.text.startswith(beginning) for page, beginning in NOT_RUN
    )


LISTED = [block for block in CODE if is_listed(block)]
TO_RUN = [block for block in CODE if not is_listed(block)]


@pytest.fixture(autouse=True)
def fresh_keras():
    """Keras is not used here, and clearing it takes a tenth of a second each time."""


@pytest.fixture(scope="module")
def exported_run(whole_run, tmp_path_factory):
    """Path of a copy of the whole run with an export."""
    folder = tmp_path_factory.mktemp("runs") / "exported"
    shutil.copytree(whole_run[0].path, folder)
    finished = forked("-m", "tfgates.tools.export", f"--run={folder}")
    assert finished.returncode == 0, finished.stderr
    return folder


@pytest.fixture
def sandbox(exported_run, tmp_path):
    """A `Sandbox`."""
    with Sandbox(tmp_path / "sandbox", exported_run) as entered:
        yield entered


def assert_success(finished, where):
    assert finished.returncode == 0, f"{where}\n{finished.stdout}\n{finished.stderr}"


def test_the_rule_covers_every_block():
    pages = {block.page for block in TO_RUN}
    assert {"README.md", "docs/add_a_gate.md", "docs/gate_your_model.md"} < pages
    for block in BLOCKS:
        known = block.language in (*RUN, *SHOWN) or re.fullmatch(r"{[\w-]+}", block.language)
        assert known, f"{block}: there is no rule for {block.language!r}"
        shows_a_command = re.match(r"(\$ |python |make |docker )", block.text)
        assert block.language in RUN or not shows_a_command, f"{block}: call it bash"


@pytest.mark.parametrize(("page", "beginning"), NOT_RUN)
def test_what_is_not_run_is_there_once(page, beginning):
    found = [block for block in CODE if block.page == page and block.text.startswith(beginning)]
    assert len(found) == 1, f"{page} has {len(found)} blocks that begin with {beginning!r}"


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", dict.fromkeys(block.page for block in TO_RUN))
def test_the_blocks_of_a_page_run(page, sandbox):
    blocks = [block for block in TO_RUN if block.page == page]
    for block in blocks:
        if block.language == "bash":
            assert_success(sandbox.bash(block.text), block)
    script = [block for block in blocks if block.language == "python"]
    if script:
        assert_success(sandbox.python(numbered(script) + THEN.get(page, "")), page)


def test_the_commands_of_the_other_blocks_are_known(sandbox):
    for block in LISTED:
        assert block.language == "bash", f"{block}: a python block runs"
        assert_success(sandbox.bash(STUBS + block.text, only_check=True), block)


def test_unknown_commands_and_flags_fail(sandbox):
    for command in (
        "python train.py --no_such_flag=1",
        "python -m tfgates.tools.export --run=runs/demo --budget=1",
        "python -m tfgates.tools.no_such_tool",
        "python serving/client.py --label",
        "make no_such_target",
        "sh serving/no_such_script.sh",
        "no_such_command",
        "if true; then",
    ):
        assert sandbox.bash(STUBS + command, only_check=True).returncode, command


def test_a_block_that_fails_fails(sandbox):
    block = Block("a page", 40, "python", "assert 1 > 2\n")
    failed = sandbox.python(numbered([block]))
    assert failed.returncode == 1
    assert "line 40" in failed.stderr
    failed = sandbox.bash("false | cat\necho not reached\n")
    assert (failed.returncode, failed.stdout) == (1, "")


def test_links_into_the_repository_exist():
    links = [(page, link) for page in PAGES for link in links_of(page) if "://" not in link]
    assert ("README.md", "docs/index.md") in links
    for page, link in links:
        assert ((ROOT / page).parent / link).exists(), f"{page}: {link}"


def test_the_reference_has_every_public_name():
    reference = (ROOT / "docs/api.md").read_text()
    for name in tfgates.__all__:
        module = getattr(getattr(tfgates, name), "__module__", "tfgates.networks")
        assert f":: {module}" in reference, name
    for name in tfgates_client.__all__:
        assert name in reference
