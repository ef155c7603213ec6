"""The bounded queue before the models, and the threads that run what is in it."""

import threading
import time

import grpc
import numpy as np

from tfgates_server.batching import merge, split
from tfgates_server.refused import Refused
from tfgates_server.task import Task


class Queue:
    """Runs requests in the order in which they come, and merges them where batching is on.

    Args:
        batching: `Batching`.
        merging: whether requests are merged; otherwise of `batching` only the threads count.
        bound: number of requests that may wait or run; more are refused.
    """

    def __init__(self, batching, merging=False, bound=100):
        self._batching = batching
        self._merging = merging
        self.bound = bound
        self._held = 0
        self._waiting = []
        self._closed = False
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._work, daemon=True) for _ in range(batching.threads)
        ]
        for thread in self._threads:
            thread.start()

    def run(self, context, model, signature, inputs):
        """Runs a signature when its turn comes.

        Args:
            context: `grpc.ServicerContext` of the caller; when the call ends, so does its request.
            model: `Model`.
            signature: its name.
            inputs: NumPy arrays by name, checked.

        Returns:
            NumPy arrays by name.

        Raises:
            Refused: the queue is full, nobody waits any longer, or the model refuses the inputs.
        """
        rows = self._batching.rows(inputs) if self._merging else None
        task = Task(model, signature, inputs, rows, context.time_remaining())
        self._put(task)
        try:
            if not context.add_callback(lambda: self._drop(task)):
                self._drop(task)
            if not task.done.wait(task.seconds_left()):
                self._drop(task)
        finally:
            with self._changed:
                self._held -= 1
        if task.error:
            raise task.error
        return task.outputs

    def close(self):
        """Ends the threads; nothing may be waiting."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _put(self, task):
        with self._changed:
            full = self._held >= self.bound
            if self._merging and not full:
                ahead = sum(other.rows for other in self._waiting if other.key == task.key)
                limit = self._batching.max_enqueued_batches * self._batching.max_batch_size
                full = ahead + task.rows > limit
            if full:
                raise Refused(
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    f"The queue is full: {self._held} requests wait or run. Ask again later.",
                )
            self._held += 1
            self._waiting.append(task)
            self._changed.notify()

    def _drop(self, task):
        with self._changed:
            if task in self._waiting:
                self._waiting.remove(task)
        task.give_up()

    def _work(self):
        while tasks := self._take():
            tasks = [task for task in tasks if task.is_awaited()]
            if len(tasks) > 1 or (tasks and self._batching.allowed_batch_sizes):
                self._run_merged(tasks)
            elif tasks:
                tasks[0].run()

    def _take(self):
        """Waits for a batch and takes it out; an empty one: the queue is closed."""
        with self._changed:
            while not self._closed:
                tasks, seconds = self._ready()
                if tasks:
                    self._waiting = [task for task in self._waiting if task not in tasks]
                    if self._waiting:
                        self._changed.notify()
                    return tasks
                self._changed.wait(seconds)
        return []

    def _ready(self):
        """Returns the first batch that is full or has waited long enough, or seconds until then."""
        groups: dict[object, list[Task]] = {}
        for task in self._waiting:
            groups.setdefault(task.key, []).append(task)
        seconds = None
        for tasks in groups.values():
            batch, full = self._fill(tasks)
            left = tasks[0].queued + self._batching.timeout_seconds - time.monotonic()
            if full or left <= 0:
                return batch, None
            seconds = left if seconds is None else min(seconds, left)
        return [], seconds

    def _fill(self, tasks):
        if tasks[0].rows is None:
            return tasks, True
        batch: list[Task] = []
        rows = 0
        for task in tasks:
            if rows + task.rows > self._batching.max_batch_size:
                return batch, True
            batch.append(task)
            rows += task.rows
        return batch, rows == self._batching.max_batch_size

    def _run_merged(self, tasks):
        counts = [task.rows for task in tasks]
        size = self._batching.padded(sum(counts))
        first = tasks[0]
        try:
            inputs = merge([task.inputs for task in tasks], size)
            left = [task.seconds_left() for task in tasks]
            outputs = first.model.run(first.signature, inputs, None if None in left else max(left))
        except Exception:
            outputs = None
        if outputs is None or any(np.shape(array)[:1] != (size,) for array in outputs.values()):
            # One of them is to blame, or the model does not work row by row.
            for task in tasks:
                task.run()
            return
        for task, share in zip(tasks, split(outputs, counts), strict=True):
            task.finish(share)
