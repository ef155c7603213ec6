"""What stands in TensorBoard's event files."""

import collections

import tensorflow as tf
from tensorboard.compat.proto.event_pb2 import Event


def read_events(folder):
    """Returns (step, value of the summary) of each tag, by run and tag: "train", "epoch_loss"."""
    found = collections.defaultdict(list)
    for path in sorted(folder.rglob("events.out.tfevents.*")):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = Event.FromString(record)
            for value in event.summary.value:
                run = str(path.parent.relative_to(folder))
                found[run, value.tag].append((event.step, value))
    return dict(found)


def steps(folder):
    """Returns the steps of each tag, by run and tag."""
    return {key: [step for step, _ in values] for key, values in read_events(folder).items()}
