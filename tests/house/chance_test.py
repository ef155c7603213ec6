"""What a test draws is new at each run, and can be drawn again."""

import re

from chance import SEED, drawn
from examples import ROOT


def steps():
    return drawn().sample(range(10**6), 3)


def test_draws_are_new_each_time_and_again_those_of_a_seed(monkeypatch, capsys):
    monkeypatch.delenv(SEED, raising=False)
    first, second = steps(), steps()
    assert first != second
    seeds = re.findall(rf"^Again with {SEED}=(\d+)\.$", capsys.readouterr().out, re.MULTILINE)
    for seed, expected in zip(seeds, (first, second), strict=True):
        monkeypatch.setenv(SEED, seed)
        assert steps() == expected


def test_no_test_draws_what_the_seed_of_every_test_has_fixed():
    alike = re.compile(r"(?<![\w.])random\.(?!Random\b|seed\b)\w+\(")
    found = [path.name for path in ROOT.glob("tests/**/*.py") if alike.search(path.read_text())]
    assert found == []
