"""The distribution strategy of a training run."""

import tensorflow as tf

from tfgates.base.errors import UserError
from tfgates.training import cluster

STRATEGIES = ("auto", "one", "mirrored", "multiworker")
# Other strategies of TensorFlow and Keras, and why a run cannot train under them.
REFUSED = {
    "parameterserver": "its workers train without waiting for each other, so that no step has the "
    "global batch over which the target loss averages",
    "centralstorage": "it keeps the weights on the CPU for devices that mirrored serves as well",
    "onedevice": "it is called one here",
    "tpu": "tfgates has never run on a TPU and claims nothing about it",
    "keras.distribution": "on TensorFlow it silently does nothing",
}


def make_strategy(name="auto", replicas=0):
    """Makes the strategy under which a run trains.

    Call it before anything else uses TensorFlow: it may divide the CPU into logical devices, or
    join the other hosts.

    Args:
        name: "one" device; "mirrored" over all GPUs of this machine, or over logical CPU devices
            where there is none; "multiworker" over all GPUs, or the CPU, of each host in the
            environment variable TF_CONFIG; "auto" takes mirrored where there are several GPUs.
        replicas: number of devices of "mirrored"; 0 takes every GPU, or one CPU device.

    Returns:
        `tf.distribute.Strategy`.

    Raises:
        UserError: an unknown name, more replicas than GPUs, replicas of one device, a bad
            TF_CONFIG, or hosts that cannot be joined.
    """
    if name not in STRATEGIES:
        reason = REFUSED.get(name.lower().replace("_", "").removesuffix("strategy"))
        raise UserError(
            f"--strategy is {', '.join(STRATEGIES[:-1])} or {STRATEGIES[-1]}. Received: {name}"
            f"{f'; {reason}' if reason else ''}."
        )
    if replicas and name == "multiworker":
        raise UserError(
            "--replicas belongs to --strategy=mirrored; multiworker takes every GPU of each host, "
            f"or its CPU. Received: --replicas={replicas}. Leave it out."
        )
    if name == "multiworker":
        return cluster.join()
    gpus = tf.config.list_physical_devices("GPU")
    if name == "auto":
        name = "mirrored" if len(gpus) > 1 else "one"
    if name == "one":
        if replicas > 1:
            raise UserError(
                f"--replicas belongs to --strategy=mirrored. Received: --replicas={replicas} and "
                "one device. Pass --strategy=mirrored as well."
            )
        return tf.distribute.get_strategy()
    if gpus:
        if replicas > len(gpus):
            raise UserError(
                f"--replicas is at most the number of GPUs, {len(gpus)}. Received: {replicas}."
            )
        return tf.distribute.MirroredStrategy([f"GPU:{i}" for i in range(replicas or len(gpus))])
    return _mirrored_cpus(replicas or 1)


def _mirrored_cpus(replicas):
    cpu = tf.config.list_physical_devices("CPU")[0]
    devices = [tf.config.LogicalDeviceConfiguration()] * replicas
    tf.config.set_logical_device_configuration(cpu, devices)
    # The default collectives of CPU devices break once a process makes a second strategy.
    return tf.distribute.MirroredStrategy(
        [f"CPU:{i}" for i in range(replicas)],
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )
