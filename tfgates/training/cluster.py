"""The hosts of TF_CONFIG, and the strategy over all of them."""

import json
import os
import signal

import tensorflow as tf

from tfgates.base.errors import UserError

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
