"""The example that chooses features, on a table of which the answer is known."""

import importlib.util

import numpy as np
import pytest
from examples import ROOT

PATH = ROOT / "examples" / "choose_features.py"


@pytest.fixture
def example():
    spec = importlib.util.spec_from_file_location("choose_features", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def rows(example, monkeypatch):
    """Of 12 features the first three make the label; the first two nearly cancel each other.

    By itself each of them says less than feature 3, a copy of 2 with noise that adds nothing to it.
    """
    rng = np.random.default_rng(2)
    features = rng.normal(size=(800, 12))
    features[:, 1] = features[:, 0] + 0.3 * rng.normal(size=800)
    features[:, 3] = features[:, 2] + 0.5 * rng.normal(size=800)
    labels = (3 * (features[:, 0] - features[:, 1]) + features[:, 2] > 0).astype(int)
    monkeypatch.setitem(example.DATA, "known", lambda return_X_y: (features, labels))
    return example.Rows("known", 1)


def test_gates_choose_what_is_good_together_in_one_training(example, rows):
    assert sorted(example.by_gates(rows, 3, 1)) == [0, 1, 2]
    assert rows.trainings == 1
    assert rows.accuracy([0, 1, 2], rows.test) > 90


def test_a_search_among_the_best_by_themselves_misses_it(example, rows):
    assert sorted(example.by_themselves(rows, 3, 1)) == [1, 2, 3]
    assert rows.trainings == 12
    assert rows.accuracy([1, 2, 3], rows.test) < 85


def test_searches_count_their_trainings(example, rows):
    assert sorted(example.by_greedy_search(rows, 2, 1)) == sorted(
        example.by_beam_search(rows, 2, 1, width=1, among=12)
    )
    # 12 and 11, twice.
    assert rows.trainings == 46
    rows.trainings = 0
    example.by_beam_search(rows, 3, 1)
    # All 12 by themselves; of the 10 best 10; 3 sets of one grow to 3 + 2 + 1 fewer than 30.
    assert 12 + 10 < rows.trainings <= 12 + 10 + 27 + 24


@pytest.mark.parametrize("way", ["by chance", "mutual information", "L1"])
def test_every_way_chooses_k_of_them(example, rows, way):
    chosen = example.WAYS[way](rows, 4, 1)
    assert len(set(map(int, chosen))) == 4
    assert set(map(int, chosen)) <= set(range(12))
