"""Pages of runs for the tests: one that was trained, and one of made-up numbers."""

import numpy as np
from examples import PREPROCESSING, real_images, small_network

from tfgates.graph.count import count
from tfgates.inference.inside import Inside, Photo, class_means, specialization
from tfgates.inference.passes import Result
from tfgates.network import num_gates
from tfgates.report.run_page import build
from tfgates.report.style import Picture
from tfgates.runs.rates import Rates
from tfgates.runs.records import Metrics, Record

SHAPE = (32, 32, 3)
LABELS = ["<b>&", "$5 \\frac", "'\"", "a" * 60, *"efghij"]
THRESHOLD, STOCHASTIC = "threshold 0.5", "stochastic, 5 passes"


def result(policy, rates, cost, error, **options):
    """A `Result` whose multiply-adds follow from its rates."""
    macs = float(cost.executed(rates))
    share = macs / cost.ungated
    return Result(policy, error, error / 9, float(np.mean(rates)), macs, share, rates, **options)


def record(name, cost, rates, gate="dependent", seed="1"):
    """A `Record` of a run with these final rates."""
    results = [
        result(THRESHOLD, rates, cost, 11.0),
        result(STOCHASTIC, rates, cost, 12.0, top1_error_std=0.2, rate_std=0.01, macs_std=1e4),
    ]
    steps = np.arange(1.0, 21)
    values = 0.9 + (np.array(rates) - 0.9) * (steps[:, None] / 20)
    return Record(
        name=name,
        flags={"gate": gate, "network": "cifar_resnet8", "seed": seed},
        metrics=Metrics(10, 0.5, cost.ungated, results),
        rates=Rates("training step", steps, values),
        thresholds=[
            result(f"{tau}", [1 - tau] * len(rates), cost, 13 - tau) for tau in (0.2, 0.5, 0.8)
        ],
    )


def inside(network, seed=0):
    """An `Inside` of random decisions on forty images."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(10), 4)
    decisions = {
        name: (rng.random((40, num_gates(network))) < 0.5).astype("float32")
        for name in (THRESHOLD, STOCHASTIC)
    }
    macs = count(network, SHAPE).executed(decisions[THRESHOLD])
    pixels = [PREPROCESSING(image).numpy() for image in real_images(4)[0]]
    photos = [
        Photo(image, index, index % 2, decisions[THRESHOLD][index], macs[index])
        for index, image in enumerate(pixels)
    ]
    rates = {name: values.mean(axis=0) for name, values in decisions.items()}
    class_rates = {name: class_means(values, labels, 10) for name, values in decisions.items()}
    return Inside(
        rates=rates,
        class_rates=class_rates,
        special=specialization(class_rates[THRESHOLD], rates[THRESHOLD]),
        images=np.bincount(labels),
        errors=np.linspace(0, 20, 10),
        macs=class_means(macs, labels, 10),
        most=photos[:2],
        fewest=photos[2:],
    )


def made_up_page(runs=("runs/one",)):
    """A page of a network of three gates, one closed and one open, with awkward class names."""
    network = small_network(size=32)
    cost = count(network, SHAPE)
    records = [
        record(name, cost, [0.0, 1.0, 0.4], seed=str(seed)) for seed, name in enumerate(runs, 1)
    ]
    return build(records, network, SHAPE, LABELS, inside(network))


def pictures(page):
    """The pictures of a page by their names."""
    parts = [part for section in page.sections for part in section.parts]
    return {part.name: part for part in parts if isinstance(part, Picture)}
