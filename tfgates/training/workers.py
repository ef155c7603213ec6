"""Several hosts that train one model: one worker, a process of train.py, on each."""

import contextlib
import json
import os
import pathlib
import signal
import tempfile
import zlib

import keras
import tensorflow as tf

from tfgates.errors import UserError

# What TensorFlow raises where another worker does not answer.
LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)
EXAMPLE = (
    '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'
)


def read_cluster(text):
    """Reads the hosts and the place of this one among them.

    Args:
        text: JSON, the environment variable TF_CONFIG; None where it is not set.

    Returns:
        The addresses of all workers, and the index of this one.

    Raises:
        UserError: it is missing or does not describe two workers or more.
    """
    if not text:
        raise _bad_cluster("is the environment variable that names the hosts", "nothing")
    try:
        config = json.loads(text)
        cluster, task = dict(config["cluster"]), dict(config["task"])
    except (ValueError, KeyError, TypeError) as error:
        raise _bad_cluster('is JSON with "cluster" and "task"', text) from error
    addresses, index = cluster.pop("worker", None), task.get("index")
    if cluster:
        raise _bad_cluster('has no job but "worker", whose first is the chief', next(iter(cluster)))
    if not isinstance(addresses, list) or not all(_is_address(one) for one in addresses):
        raise _bad_cluster('lists each "worker" of the "cluster" as host:port', addresses)
    if len(set(addresses)) < max(2, len(addresses)):
        raise _bad_cluster("lists two workers or more, each once", addresses)
    if task.get("type") != "worker":
        raise _bad_cluster('has a "task" of the "type" "worker"', task.get("type"))
    if type(index) is not int or not 0 <= index < len(addresses):
        raise _bad_cluster(f'has a "task" with an "index" from 0 to {len(addresses) - 1}', index)
    return addresses, index


def _is_address(text):
    return isinstance(text, str) and text.rpartition(":")[2].isdecimal()


def _bad_cluster(rule, received):
    return UserError(
        f"--strategy=multiworker: TF_CONFIG {rule}. Received: {received}. On the first of two "
        f"hosts pass TF_CONFIG='{EXAMPLE}'; for one host take --strategy=mirrored."
    )


def join():
    """Waits for the workers that TF_CONFIG names, and returns the strategy over all of them.

    Raises:
        UserError: a bad TF_CONFIG, or workers that cannot be joined.
    """
    addresses, index = read_cluster(os.environ.get("TF_CONFIG"))
    on_cpu = not tf.config.list_physical_devices("GPU")
    place = f"Worker {index} of {len(addresses)}, {addresses[index]},"
    print(f"{place} waits for the others.", flush=True)
    implementation = tf.distribute.experimental.CommunicationImplementation
    options = tf.distribute.experimental.CommunicationOptions(
        implementation=implementation.RING if on_cpu else implementation.AUTO
    )
    # TensorFlow waits where Python cannot react to Ctrl-C, and from then on swallows SIGTERM.
    python_interrupts = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    except (tf.errors.OpError, RuntimeError) as error:
        raise UserError(
            f"{place} cannot join {', '.join(addresses)}: {str(error)[:200]}. Check that these "
            "addresses are free and can be reached, and start all workers again."
        ) from error
    finally:
        signal.signal(signal.SIGINT, python_interrupts)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


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
                "A worker of the cluster is gone; its own last line says why. Start all of them "
                "again with the same command: the run resumes after its last finished epoch."
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

    Under other strategies it changes nothing.
    """

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        strategy = self.distribute_strategy
        if not _several(strategy):
            super()._maybe_symbolic_build(iterator, data_batch)
            return
        # Keras averages a batch over all hosts to learn its shape; that of one replica does too.
        for _, _, batches in iterator:
            data_batch = tf.nest.map_structure(
                lambda values: strategy.experimental_local_results(values)[0], next(batches)
            )
            break
        with strategy.scope():
            self._symbolic_build(data_batch=data_batch)

    def _make_function(self, step_function):
        if not _several(self.distribute_strategy):
            return super()._make_function(step_function)

        # Keras averages the logs of all hosts along their first axis, which scalars lack.
        def step(data):
            return {name: tf.expand_dims(log, 0) for name, log in step_function(data).items()}

        return super()._make_function(step)
