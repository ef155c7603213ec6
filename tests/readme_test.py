"""The Python blocks of the README run."""

import pathlib
import re

README = pathlib.Path(__file__).parents[1] / "README.md"


def test_python_blocks_run():
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert blocks
    names = {}
    for block in blocks:
        exec(block, names)
    assert names["logits"].shape == (4, 10)
    assert names["decisions"].shape == (4, 9)


def test_links_into_the_repository_exist():
    links = re.findall(r"\]\((?!http)([\w/.]+)\)", README.read_text())
    assert len(links) > 3
    for link in links:
        assert (README.parent / link).exists(), link
