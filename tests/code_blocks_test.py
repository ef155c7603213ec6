"""Every code block of the Markdown pages runs, or says why it cannot.

The rule, by the language behind the fence:

- `bash` runs, block by block, in a `Sandbox`, one for each page: there runs/demo is a small trained
  run with an export, photos/ and photo.jpg are real pictures, and training takes two steps.
- `python` runs too: the blocks of a page, one after the other, are one script, in the same place.
- What is in `NOT_RUN` does neither. Its commands are looked up all the same, with their flags.
- Without a language, or as `text`, stands what a command prints; `math` and {directives} are not code.
"""

import re

import pytest
from code_blocks import PAGES, blocks_of, numbered
from examples import ROOT
from processes import forked
from sandbox import Sandbox

RUN = ("bash", "python")
SHOWN = ("", "text", "math")

DOCKER = "needs docker, and an image from the network"
LONG = "takes minutes"
# By page and first line.
NOT_RUN = {
    ("README.md", "make demo    # sets up .venv, then trains, compares, exports, serves, classifies"): (
        f"{LONG}: make test is the suite, and tests/tools_test.py runs the parts of the demo"
    ),
    ("README.md", "python train.py --flagfile=flags/r50.cfg"): "needs ImageNet",
    ("README.md", 'docker run --rm -p 8500:8500 -v "$PWD/runs/demo/export:/models/gated" -e MODEL_NAME=gated \\'): DOCKER,
}


def is_code(block):
    return block.language in RUN


def reason(block):
    """Why a block is not run; None of one that is."""
    return NOT_RUN.get((block.page, block.first))


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
CODE = [block for block in BLOCKS if is_code(block)]


@pytest.fixture(autouse=True)
def fresh_keras():
    """Keras is not used here, and clearing it takes a tenth of a second each time."""


@pytest.fixture(scope="module")
def exported_run(whole_run, tmp_path_factory):
    """Path of a copy of the whole run with an export."""
    folder = tmp_path_factory.mktemp("runs") / "exported"
    import shutil

    shutil.copytree(whole_run[0].path, folder)
    finished = forked("-m", "tfgates.tools.export", f"--run={folder}")
    assert finished.returncode == 0, finished.stderr
    return folder


@pytest.fixture
def sandbox(exported_run, tmp_path):
    with Sandbox(tmp_path / "sandbox", exported_run) as entered:
        yield entered


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_the_rule_covers_a_block(block):
    assert block.language in (*RUN, *SHOWN) or re.fullmatch(r"\{[\w-]+\}", block.language), (
        f"{block}: {block.language} is none of {RUN + SHOWN}: give it one, or extend the rule"
    )


@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_of_a_page_run(page, request):
    blocks = [block for block in CODE if block.page == page and not reason(block)]
    if not blocks:
        pytest.skip("nothing to run")
    sandbox = request.getfixturevalue("sandbox")
    for block in blocks:
        if block.language == "bash":
            import time
            t=time.time()
            finished = sandbox.bash(block.text)
            print(f"TIME {block} {time.time()-t:.1f}")
            assert finished.returncode == 0, f"{block}\n{finished.stdout}\n{finished.stderr}"
    python = [block for block in blocks if block.language == "python"]
    if python:
        t=time.time() if "time" in dir() else 0
        finished = sandbox.python(numbered(python))
        assert finished.returncode == 0, f"{page}\n{finished.stdout}\n{finished.stderr}"
