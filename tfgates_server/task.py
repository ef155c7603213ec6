"""One request on its way through the queue."""

import threading
import time

import grpc

from tfgates_server.refused import Refused

# gRPC reports about 9e18 s, or None, for a call without a deadline.
NO_DEADLINE_SECONDS = 1e9


class Task:
    """A request in the queue.

    Args:
        model: `Model`.
        signature: its name.
        inputs: NumPy arrays by name, checked.
        rows: number of its images; None: it is not merged with others.
        seconds: until its caller's deadline.

    Attributes:
        key: equal for tasks that may be merged.
        outputs, error: what came of it, once it is `done`.
    """

    def __init__(self, model, signature, inputs, rows, seconds):
        self.model, self.signature, self.inputs, self.rows = model, signature, inputs, rows
        self.queued = time.monotonic()
        has_deadline = seconds is not None and seconds < NO_DEADLINE_SECONDS
        self.deadline = self.queued + seconds if has_deadline else None
        shapes = [(name, array.shape[1:]) for name, array in sorted(inputs.items())]
        self.key = id(self) if rows is None else (id(model), signature, tuple(shapes))
        self.outputs = self.error = None
        self.done = threading.Event()

    def seconds_left(self):
        return None if self.deadline is None else self.deadline - time.monotonic()

    def expired(self):
        return self.deadline is not None and self.seconds_left() <= 0

    def finish(self, outputs=None, error=None):
        if not self.done.is_set():
            self.outputs, self.error = outputs, error
            self.done.set()

    def give_up(self):
        """Finishes it, unless it is, because nobody waits for it any longer."""
        if self.expired():
            error = Refused(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
        else:
            error = Refused(grpc.StatusCode.CANCELLED, "The caller has gone.")
        self.finish(error=error)

    def is_awaited(self):
        """Whether it is still worth running."""
        if self.expired():
            self.give_up()
        return not self.done.is_set()

    def run(self):
        """Runs it on its own, where it is awaited."""
        if not self.is_awaited():
            return
        try:
            self.finish(self.model.run(self.signature, self.inputs, self.seconds_left()))
        except Refused as error:
            self.finish(error=error)
        except Exception as error:  # The thread outlives whatever a request does.
            self.finish(error=Refused(grpc.StatusCode.INTERNAL, str(error)))
