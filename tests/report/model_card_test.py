"""The model card of a run: its figures are those of the run, and it is Markdown."""

import json
import re

import markdown
import pytest
from examples import small_network

from tfgates.graph.count import count, count_parameters
from tfgates.inference.passes import Result
from tfgates.report.card import escaped
from tfgates.runs.model_card import of_run


def cells(text):
    """Returns the rows of all tables of a Markdown text, as it is shown."""
    html = markdown.markdown(text, extensions=["tables"])
    rows = re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL)
    return [re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL) for row in rows]


def shown(text):
    """Returns a text of HTML as it is read."""
    for entity, letter in {"&lt;": "<", "&gt;": ">", "&#126;": "~", "&amp;": "&"}.items():
        text = text.replace(entity, letter)
    return text


def test_the_card_of_a_run_has_its_figures(whole_run):
    run, _ = whole_run
    rows = {row[0]: row[1:] for row in cells(run.card.read_text()) if row}
    metrics = json.loads(run.metrics.read_text())
    assert len(metrics["policies"]) == 6
    for policy in metrics["policies"]:
        top1, top5, rate, macs, share = (cell.split(" ± ")[0] for cell in rows[policy["policy"]])
        assert top1 == f"{policy['top1_error']:.2f}"
        assert top5 == f"{policy['top5_error']:.2f}"
        assert rate == f"{policy['rate']:.3f}"
        assert macs == f"{policy['macs'] / 1e6:.2f}"
        assert share == f"{100 * policy['macs_share']:.1f} %"
    network = run.load_classifier().network
    assert rows["parameters"] == [f"{count_parameters(network):,}"]
    assert rows["multiply-adds"] == ["12.50 M of an image with every branch"]
    assert count(network, (32, 32, 3)).ungated == metrics["ungated_macs"] == 12_501_632
    for gate, rate in enumerate(metrics["policies"][0]["gate_rates"]):
        block, shown_rate, word = rows[f"{gate:02d}"]
        assert (block, shown_rate) == (f"block_{gate:02d}", f"{rate:.3f}")
        assert bool(word) == (rate <= 0.001 or rate >= 0.999)
    assert rows["train"] == ["200 images: train"]
    assert rows["test"] == ["10 images: test"]
    assert (rows["seed"], rows["target_rate"], rows["gate"]) == (["1"], ["0.5"], ["dependent"])
    assert "10 classes, by id from 0: 0, 1, 2, " in run.card.read_text()


HOSTILE = [
    "a|b",
    "*bold*",
    "`code`",
    "__init__",
    "x_y",
    "<b>",
    "[link](x)",
    "~~s~~",
    "a\\|b",
    "A\nB",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_names_are_shown_as_they_are(text):
    (row,) = [row for row in cells(f"| a | b |\n|---|---|\n| {escaped(text)} | 1 |") if row]
    assert [shown(cell) for cell in row] == [" ".join(text.split()), "1"]


def about(**changes):
    network = small_network()
    result = Result("threshold 0.5", 10.0, 1.0, 0.5, 1e6, 0.5, [1.0, 0.5, 0.0])
    return {
        "tfgates": "0",
        "date": "2026-01-01",
        "run": "runs/a b",
        "network": network.name,
        "branches": 3,
        "gates": 3,
        "gated_branches": ["block_00", "block_01", "block_02"],
        "parameters": 7,
        "model_sha256": "0a1b",
        "macs": 2e6,
        "split": "test",
        "results": [result],
        "one_sided": {0: True, 2: False},
        "splits": {"test": (10, "test")},
        "flags": {"init_from": "", "dataset": "folder:a|b"},
        "dataset": "folder:a|b",
        "labels": HOSTILE,
        "preprocessing": {"size": 8, "resize": "square"},
        "mean": [0.5] * 3,
        "std": [0.25] * 3,
        **changes,
    }


def test_classes_and_paths_of_any_name_leave_the_tables_whole():
    text = of_run(about())
    rows = cells(text)
    assert ["data set", "folder:a|b"] in rows
    assert ["dataset", "folder:a|b"] in rows
    assert ["init_from", "(empty)"] in rows
    assert {len(row) for row in rows if row} == {2, 4, 6}
    html = markdown.markdown(text, extensions=["tables"])
    (sentence,) = re.findall(r"<p>(10 classes, .*?)</p>", html, re.DOTALL)
    names = [" ".join(name.split()) for name in HOSTILE]
    assert shown(sentence) == f"10 classes, by id from 0: {', '.join(names)}."
    assert "--flagfile='runs/a b/flags.cfg'" in text or "'--flagfile=runs/a b/flags.cfg'" in text


def test_one_sided_gates_are_named():
    text = of_run(about())
    assert "Policy: threshold 0.5. " in text
    assert " 2 of 3. Always open: 00; always closed: 02." in text
    assert ["00", "block_00", "1.000", "always open"] in cells(text)
    assert ["01", "block_01", "0.500", ""] in cells(text)


def test_a_run_that_was_not_evaluated_says_so():
    text = of_run(about(results=[], one_sided={}))
    assert "Not evaluated yet" in text
    assert "3, whose rates were not measured." in text
