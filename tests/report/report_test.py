"""The page of a run: its pictures and words against the numbers they stand for."""

import dataclasses
import itertools
import re

import numpy as np
import pytest
from examples import small_network
from matplotlib.figure import Figure
from matplotlib.text import Text
from report_fixtures import LABELS, SHAPE, inside, made_up_page, pictures, record

from tfgates.graph.count import count
from tfgates.graph.macs import of_gate
from tfgates.inference.gain import Gain
from tfgates.network import gates, num_gates
from tfgates.report.chain import links
from tfgates.report.collapsed import BETWEEN, CLOSED, OPEN, kinds
from tfgates.report.page import as_html
from tfgates.report.point_labels import place
from tfgates.report.rates import final_rates, target_of_rates
from tfgates.report.run_page import build
from tfgates.report.style import BLUE, GREEN, ORANGE, as_svg


def test_a_gate_collapses_within_a_twentieth():
    assert kinds([0.0, 0.04, 0.06, 0.5, 0.94, 0.96]) == [CLOSED] * 2 + [BETWEEN] * 3 + [OPEN]


@pytest.mark.parametrize("gate", ["dependent", "none"])
def test_the_costs_of_the_branches_are_those_of_the_network(gate):
    network = small_network(gate, size=32)
    whole = count(network, SHAPE)
    found = links(network, SHAPE, [0.25] * num_gates(network))
    assert [one.name for one in found] == ["block_00", "block_01", "block_02"]
    assert [one.identity for one in found] == [True, False, False]
    if gate == "dependent":
        assert [one.branch for one in found] == list(whole.branches)
        assert [one.gate for one in found] == [of_gate(one.gate, None) for one in gates(network)]
    macs = whole.executed([0.25] * num_gates(network))
    assert macs == whole.always + whole.gates + sum(one.run for one in found if one.gates)
    # The stem, two projections, the classifier.
    ends = 32 * 32 * 27 * 16 + 16 * 16 * 16 * 32 + 8 * 8 * 32 * 64 + 64 * 10
    assert ends + sum(one.branch for one in found) == whole.ungated


def test_labels_do_not_cover_each_other():
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    points = [(10 + 0.05 * index, 5 + 0.01 * index) for index in range(8)] + [(0, 0), (20, 10)]
    axes.plot(*zip(*points, strict=True), "o")
    place(figure, axes, points, [f"policy {x}" for x in range(10)], ["black"] * 10)
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in axes.texts]
    assert len(boxes) == 10
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_the_bars_are_the_rates():
    rates, sampled = [0.0, 0.3, 1.0, 0.97], [0.01, 0.4, 0.99, 0.9]
    picture = final_rates(("threshold 0.5", rates), ("stochastic", sampled), 0.5)
    axes = picture.figure.axes[0]
    heights = {
        round(bar.get_x() + bar.get_width() / 2): bar.get_height()
        for container in axes.containers
        for bar in container
    }
    assert heights == dict(enumerate(rates))
    (dots,) = [line for line in axes.lines if line.get_marker() == "o"]
    assert list(dots.get_ydata()) == sampled
    for words in ("1 of 4 nearly always open (02)", "1 of 4 nearly always closed (00)"):
        assert words in picture.alternative


def test_a_picture_is_the_same_every_time_and_its_ids_are_its_own():
    first, second = (pictures(made_up_page())["class_rates"] for _ in range(2))
    svg = as_svg(first.figure, "one")
    assert svg == as_svg(second.figure, "one")
    assert all(name.startswith("one-") for name in re.findall(r'\bid="([^"]+)"', svg))
    assert set(re.findall(r'(?:url\(|href=")#([^")]+)', svg)) <= set(re.findall(r'id="(.*?)"', svg))


def test_names_of_classes_and_runs_are_escaped():
    html = as_html(made_up_page(runs=("runs/<i>", "runs/b&b")))
    assert "<b>" not in html
    assert "<i>" not in html
    assert "&lt;b&gt;&amp;" in html
    assert "runs/&lt;i&gt;" in html
    assert "runs/b&amp;b" in html
    assert "<script" not in html


def test_a_page_of_two_runs_compares_them():
    page = made_up_page(runs=("runs/a", "runs/b"))
    different, table = (part for part in page.sections[0].parts if hasattr(part, "groups"))
    assert different.groups == {"": [["runs/a", "seed=1"], ["runs/b", "seed=2"]]}
    policies = ["threshold 0.5", "stochastic, 5 passes"]
    found = {run: [row[0] for row in rows] for run, rows in table.groups.items()}
    assert found == {"runs/a": policies, "runs/b": policies}
    assert table.groups["runs/b"][1][1] == "12.00 ± 0.20"
    drawn = pictures(page)
    labels = [text.get_text() for text in drawn["tradeoff"].figure.axes[0].texts]
    assert labels == ["A runs/a", "A", "B runs/b", "B"]
    labels = [text.get_text() for text in drawn["thresholds"].figure.axes[0].texts]
    assert labels == ["runs/a", "runs/b"]


def test_a_run_has_one_colour_and_multiply_adds_one_whole():
    """The first run is not evaluated, the second is of a network with half of the branches."""
    network = small_network(size=32)
    cost = count(network, SHAPE)
    first, second, third = (record(name, cost, [0.0, 1.0, 0.4], seed=name) for name in "abc")
    first = dataclasses.replace(first, metrics=None)
    metrics = dataclasses.replace(second.metrics, ungated_macs=cost.ungated // 2)
    page = build(
        [first, dataclasses.replace(second, metrics=metrics), third],
        network,
        SHAPE,
        LABELS,
        inside(network),
    )
    drawn = pictures(page)
    colors = [
        {line.get_color() for line in drawn[name].figure.axes[0].lines if len(line.get_xdata())}
        for name in ("tradeoff", "thresholds")
    ]
    assert colors == [{ORANGE, GREEN}, {BLUE, ORANGE, GREEN}]
    table = next(part for part in page.sections[0].parts if getattr(part, "texts", 0) == 1)
    assert table.headers[-1] == f"of {cost.ungated / 1e6:.2f} M"
    shares = {rows[0][-1] for rows in table.groups.values()}
    macs = second.metrics.policies[0].macs
    assert shares == {f"{100 * macs / cost.ungated:.1f} %"}


@pytest.mark.parametrize(
    ("flags", "target"),
    [
        ({}, 0.5),
        ({"target_schedule": "annealed", "target_unit": "branches"}, 0.5),
        ({"target_schedule": "moving_average"}, None),
        ({"target_unit": "multiply_adds"}, None),
    ],
)
def test_only_the_target_of_rates_is_drawn_beside_them(flags, target):
    assert target_of_rates(flags, 0.5) == target


def test_of_many_runs_each_has_its_own_inference():
    names = [f"runs/{index}" for index in range(9)]
    axes = pictures(made_up_page(runs=names))["tradeoff"].figure.axes[0]
    assert [text.get_text() for text in axes.texts] == names


def test_independent_gates_name_no_class_and_no_image():
    network = small_network("independent", size=32)
    cost = count(network, SHAPE)
    found = inside(network)
    rates = {name: np.tile(values, (10, 1)) for name, values in found.rates.items()}
    alike = dataclasses.replace(found, class_rates=rates, special=np.zeros(10), most=[], fewest=[])
    one = record("runs/one", cost, [0.0, 1.0, 1.0], gate="independent")
    html = as_html(build([one], network, SHAPE, [*"abcdefghij"], alike))
    assert "No class is special" in html
    assert "Every test image runs the same branches" in html


def test_stochastic_depth_has_rates_but_no_target_and_no_classes():
    network = small_network("stochastic_depth", size=32)
    cost = count(network, SHAPE)
    one = record("runs/one", cost, [0.9, 0.7, 0.5], gate="stochastic_depth")
    page = build([one], network, SHAPE, [*"abcdefghij"], inside=None)
    assert set(pictures(page)) >= {"chain", "rates_over_training", "final_rates"}
    assert "class_rates" not in pictures(page)
    html = as_html(page)
    assert html.count("The gates of stochastic depth") == 3
    assert "target is" not in html
    assert "have collapsed" not in html


def test_what_is_gained_by_looking_at_the_image_is_a_table_or_says_why_not():
    network = small_network(size=32)
    one = record("runs/one", count(network, SHAPE), [0.0, 1.0, 0.4])

    def parts(network, one):
        page = build([one], network, SHAPE, LABELS, None)
        return next(section for section in page.sections if section.name == "gain").parts

    (missing,) = parts(network, one)
    assert missing.command == "python -m tfgates.tools.evaluate --run=runs/one --gain"
    gain = Gain(11.0, 12.5, 13.0, 2e6, 1.5e6, ["block_01", "block_02"])
    (table,) = parts(network, dataclasses.replace(one, gain=gain))
    assert table.groups[""] == [
        ["each image's own", "11.00", "2.00"],
        ["dealt to other images", "12.50", "2.00"],
        ["the same for all: block_01, block_02", "13.00", "1.50"],
    ]
    (missing,) = parts(small_network("independent", size=32), one)
    assert missing.text.startswith("These gates do not look at the image")
