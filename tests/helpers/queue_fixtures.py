"""A served model whose runs are noted and can be held, for the tests of the queue.

PYTEST_DONT_REWRITE: the assertion here is that of a deadline.
"""

import threading
import time

import pytest
from serving_fixtures import batching, config, server, serving


class Held:
    """The exported model behind a server; its runs are noted, and held while `gate` is closed.

    Attributes:
        gate: `threading.Event`; runs wait until it is set.
        runs: for each run that has begun the number of its images.
    """

    def __init__(self):
        self.gate = threading.Event()
        self.gate.set()
        self.runs = []

    def load(self, name, path):
        model = server.load(name, path)
        run = model.run

        def held(signature, inputs, timeout=None):
            self.runs.append(len(next(iter(inputs.values()))))
            self.gate.wait()
            return run(signature, inputs, timeout)

        model.run = held
        return model

    def wait_for_runs(self, count):
        wait_until(lambda: len(self.runs) >= count)


def wait_until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def held():
    """A `Held`; in the end nothing is held, whatever failed."""
    model = Held()
    yield model
    model.gate.set()


@pytest.fixture
def serve(version, held):
    """Function (merging, bound) -> context of an `Embedded` with the held model."""
    one = config.one_model("gated", str(version.parent))
    return lambda *arguments, **options: serving(one, *arguments, load=held.load, **options)


def waiting(embedded):
    return len(embedded.queue._waiting)


def parameters(text):
    return batching.Batching.from_parameters(
        config.text_format.Parse(text, config.BatchingParameters())
    )


def one_thread(text=""):
    return parameters("num_batch_threads { value: 1 }" + text)
