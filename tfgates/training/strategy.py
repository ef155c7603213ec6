"""The distribution strategy of a training run."""

import tensorflow as tf

from tfgates.errors import UserError


def make_strategy(name="auto", replicas=0):
    """Makes the strategy under which a run trains.

    Call it before anything else uses TensorFlow: it may divide the CPU into logical devices.

    Args:
        name: "one" device; "mirrored" over all GPUs of this machine, or over logical CPU devices
            where there is none; "auto" takes mirrored where there are several GPUs.
        replicas: number of devices of "mirrored"; 0 takes every GPU, or one CPU device.

    Returns:
        `tf.distribute.Strategy`.

    Raises:
        UserError: an unknown name, more replicas than GPUs, or replicas of one device.
    """
    if name not in ("auto", "one", "mirrored"):
        raise UserError(f"--strategy is auto, one or mirrored. Received: {name}.")
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
