"""How long tasks show how far they are: on a screen, in a log, and batch by batch."""

import contextlib
import os
import re
import sys

import numpy as np
import pytest
import tensorflow as tf
from examples import small_network

from tfgates.base import progress
from tfgates.base.timing import interleaved
from tfgates.inference.evaluate import evaluate, evaluate_thresholds
from tfgates.inference.rates import thresholded_rates


@contextlib.contextmanager
def screen(monkeypatch, delay):
    """Yields a function that reads what a terminal shows; as some, it does not tell its size."""
    monkeypatch.setattr(progress, "DELAY", delay)
    master, slave = os.openpty()
    with os.fdopen(slave, "w") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", terminal)

        def read():
            # A terminal gives what is there at the moment.
            print("End.", file=terminal, flush=True)
            shown = b""
            while not shown.endswith(b"End.\r\n"):
                shown += os.read(master, 100_000)
            return shown.decode().removesuffix("End.\r\n")

        yield read
    os.close(master)


def test_a_screen_shows_a_bar_that_ends_full(monkeypatch):
    with screen(monkeypatch, 0) as read:
        with progress.progress("Reading", "pages", 4) as show:
            for done in range(1, 5):
                show(done)
        frames = read().split("\r")
    assert "0/4" in frames[1]
    *_, last, end = frames
    assert last.startswith("Reading: 100%|")
    assert "4/4 [" in last
    assert last.endswith("pages/s]")
    assert end == "\n"


def test_what_is_done_at_once_needs_no_bar(monkeypatch):
    with screen(monkeypatch, 60) as read:
        with progress.progress("Reading", "pages") as show:
            show(4, 4)
        assert "Reading" not in read()


def test_a_log_gets_one_line_whose_task_stands_there_at_once(capsys):
    with progress.progress("Reading", "pages") as show:
        assert capsys.readouterr().out == "Reading: "
        for done in (1, 2, 3):
            show(done, 3)
    assert re.fullmatch(r"3 pages in \d+\.\d s\n", capsys.readouterr().out)


def test_a_task_that_fails_ends_its_line_and_says_how_far_it_came(capsys):
    def fails():
        with progress.progress("Reading", "pages", 9) as show:
            show(2)
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert re.fullmatch(r"Reading: 2 pages in \d+\.\d s\n", capsys.readouterr().out)


@pytest.fixture(scope="module")
def batches():
    images = np.zeros((10, 8, 8, 3), "float32")
    labels, weights = np.zeros(10, "int64"), np.ones(10, "float32")
    return tf.data.Dataset.from_tensor_slices((images, labels, weights)).batch(4)


def test_every_batch_of_every_pass_is_reported(batches):
    """Not only whole passes: one over a large set takes minutes."""
    calls: list = []
    evaluate(small_network(), batches, lambda *call: calls.append(call))
    # Threshold, five samples, always open, expected; three batches each.
    assert calls == [(done, 24) for done in range(1, 25)]
    calls.clear()
    evaluate(small_network("none"), batches, lambda *call: calls.append(call))
    assert calls == [(1, 3), (2, 3), (3, 3)]
    calls.clear()
    evaluate_thresholds(small_network(), batches, [0.2, 0.5], lambda *call: calls.append(call))
    assert calls == [(done, 6) for done in range(1, 7)]


def test_measured_images_and_timings_are_reported(batches):
    calls: list = []
    images = batches.map(lambda images, labels, weights: images)
    thresholded_rates(small_network(), images, 0.5, calls.append)
    assert calls == [4, 8, 10]
    calls.clear()
    runs = {"a": lambda: None, "b": lambda: None}
    interleaved(runs, 3, 1, lambda *call: calls.append(call))
    assert calls == [(done, 6) for done in range(1, 7)]
