"""Several hosts that train one model: one worker, a process of train.py, on each."""

import contextlib
import os
import pathlib
import tempfile
import zlib

import keras
import tensorflow as tf

from tfgates.base.errors import UserError

# What TensorFlow raises where another worker does not answer.
LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)


def is_chief(strategy):
    """Whether this process is the one that writes the run folder: the first worker, or the only."""
    resolver = strategy.cluster_resolver
    return not _several(strategy) or resolver.task_id == 0


def _several(strategy):
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


@contextlib.contextmanager
def one_writer(strategy, folder):
    """Gives the chief a folder, and the other workers silence and one to throw away.

    All workers go through the same writing, as reading the averages that it saves takes all of
    them; what the others write is not kept. They wait for the chief at the end: one that left
    early would not be there if the chief had to start again.

    Args:
        strategy: `tf.distribute.Strategy`.
        folder: path.

    Yields:
        The path of the folder to write.

    Raises:
        UserError: another worker is gone.
    """
    with contextlib.ExitStack() as stack:
        if not is_chief(strategy):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tfgates-"))
            nowhere = stack.enter_context(pathlib.Path(os.devnull).open("w"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
        try:
            yield folder
            if _several(strategy):
                _numbers_of_all(strategy, 0)
        except LOST as error:
            if not _several(strategy):
                raise
            raise UserError(
                "A worker of the cluster is gone; its own last line says why. Mend that, and start "
                "all of them again with the same command: the run resumes after its last finished "
                "epoch."
            ) from error


def check_agreement(strategy, text):
    """Checks that all workers do the same.

    Args:
        strategy: `tf.distribute.Strategy`.
        text: what has to be the same on each.

    Raises:
        UserError: it is not.
    """
    if _several(strategy) and len(_numbers_of_all(strategy, zlib.crc32(text.encode()))) > 1:
        raise UserError(
            "The workers differ. Start each with the same flags, the same data set and an "
            f"--output_dir that all hosts see. Received here: {text}"
        )


def _numbers_of_all(strategy, number):
    """Returns the set of the numbers that all workers pass, once the last has come here."""

    @tf.function
    def gather():
        own = tf.constant([number], tf.int64)
        return tf.distribute.get_replica_context().all_gather(own, axis=0)

    return set(strategy.experimental_local_results(strategy.run(gather))[0].numpy())


class FitOverWorkers(keras.Model):
    """Mends the `fit` of Keras 3.15, which fails in two places over several hosts.

    Under every strategy, metrics and optimizer are built before the first step: TensorFlow traces
    a step again whose first trace has made variables.
    """

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        if iterator is not None:
            # Keras reads a batch to learn its shape, and averages it, which several hosts cannot.
            _, _, batches = next(iter(iterator))
            data_batch = tf.nest.map_structure(lambda spec: spec.flatten()[0], batches.element_spec)
        with self.distribute_strategy.scope():
            self._symbolic_build(data_batch=data_batch)

    def _make_function(self, step_function):
        if not _several(self.distribute_strategy):
            return super()._make_function(step_function)

        # Keras averages the logs of all hosts along their first axis, which scalars lack.
        def step(data):
            return {name: tf.expand_dims(log, 0) for name, log in step_function(data).items()}

        return super()._make_function(step)
