"""What a network does to the test images, class by class, against NumPy and a loop."""

import itertools
import json

import numpy as np
import pytest
from examples import PREPROCESSING
from report_fixtures import SHAPE, pictures

from tfgates.data import datasets
from tfgates.inference.inside import class_means, extremes, look_inside, specialization
from tfgates.network import logits_and_decisions
from tfgates.policies import Threshold
from tfgates.report.page import as_html
from tfgates.report.run_page import build
from tfgates.runs.data import evaluation_images, open_data
from tfgates.runs.records import Record


def test_means_of_each_class_against_a_loop():
    rng = np.random.default_rng(0)
    decisions, labels = rng.random((50, 7)) < 0.4, rng.integers(0, 4, 50)
    found = class_means(decisions, labels, 5)
    for label, gate in itertools.product(range(4), range(7)):
        own = [row[gate] for row, one in zip(decisions, labels, strict=True) if one == label]
        assert found[label, gate] == pytest.approx(sum(own) / len(own))
    assert np.isnan(found[4]).all()
    np.testing.assert_allclose(class_means(labels * 2.0, labels, 4), [0, 2, 4, 6])


def test_the_most_specialised_class_is_the_one_furthest_from_all():
    far = specialization(np.array([[0.5, 0.5], [1.0, 0.5], [0.0, 0.0]]), [0.5, 0.5])
    np.testing.assert_allclose(far, [0, 0.25, 0.5])


def test_most_and_fewest_gates_then_multiply_adds_then_evenly():
    decisions = np.array([[1, 1], [0, 1], [1, 0], [0, 0], [0, 1], [0, 1], [0, 0], [0, 0]])
    macs = 10 + decisions @ [5.0, 7.0]
    most, fewest = extremes(decisions, macs, 3)
    assert most == [0, 1, 5]
    assert fewest == [3, 6, 7]
    assert extremes(np.ones((4, 2)), np.ones(4), 2) == ([], [])


@pytest.fixture(scope="module")
def looked_at(whole_run):
    run, _ = whole_run
    _, _, preprocessing = run.load_data()
    network, dataset = run.load_classifier().network, open_data(run)
    with datasets.readable(dataset):
        return (
            network,
            dataset,
            look_inside(
                network, evaluation_images(dataset, "test", preprocessing), len(dataset.labels)
            ),
        )


def test_looking_inside_against_a_loop(whole_run, looked_at):
    run, _ = whole_run
    network, dataset, found = looked_at
    records = list(dataset.records("test").as_numpy_iterator())
    images = np.stack([PREPROCESSING(image) for image, _ in records])
    answers = logits_and_decisions(network(images, policy=Threshold()))
    logits, decisions = (values.numpy() for values in answers)
    rates = found.class_rates["threshold 0.5"]
    for label in range(10):
        own = [index for index, (_, one) in enumerate(records) if one == label]
        assert found.images[label] == len(own)
        if own:
            np.testing.assert_allclose(rates[label], decisions[own].mean(axis=0))
            wrong = [logits[index].argmax() != label for index in own]
            assert found.errors[label] == pytest.approx(100 * np.mean(wrong))
    recorded = json.loads(run.metrics.read_text())["policies"][0]
    np.testing.assert_allclose(found.rates["threshold 0.5"], recorded["gate_rates"])
    np.testing.assert_allclose(found.special, np.abs(rates - decisions.mean(axis=0)).mean(axis=1))
    for photo in (*found.most, *found.fewest):
        (index,) = [i for i, image in enumerate(images) if np.array_equal(image, photo.pixels)]
        assert photo.label == records[index][1]
        assert photo.prediction == logits[index].argmax()


def test_the_rates_drawn_are_those_of_metrics_json(whole_run, looked_at):
    run, _ = whole_run
    network, dataset, found = looked_at
    page = build([Record.read(run)], network, SHAPE, dataset.labels, found)
    drawn = pictures(page)
    recorded = {row["policy"]: row for row in json.loads(run.metrics.read_text())["policies"]}
    bars = drawn["final_rates"].figure.axes[0].containers
    heights = sorted((bar.get_x(), bar.get_height()) for some in bars for bar in some)
    assert [height for _, height in heights] == recorded["threshold 0.5"]["gate_rates"]
    points = drawn["tradeoff"].figure.axes[0].lines
    expected = [row["top1_error"] for row in recorded.values()]
    assert [line.get_ydata()[0] for line in points if len(line.get_ydata()) == 1] == expected
    assert drawn["rates_over_training"].figure.axes[0].lines[2].get_ydata().shape == (9,)
    assert page.figures[0][0] == f"{recorded['threshold 0.5']['top1_error']:.2f} %"


def test_what_is_missing_is_named_with_its_command(looked_at, whole_run):
    network, dataset, found = looked_at
    bare = Record("runs/a b", {}, metrics=None, rates=None, thresholds=None)
    html = as_html(build([bare], network, SHAPE, dataset.labels, found))
    assert "thresholds.csv is missing" in html
    assert "rates.csv or log.csv: it was lost" in html
    assert "flags.cfg is missing" in html
    assert html.count("tfgates.tools.evaluate --run=&#39;runs/a b&#39;") == 4
    # The rates after the training are those that were just measured.
    assert 'id="picture-final_rates"' in html
