"""Replays the requests that a SavedModel brings along, so that no client meets a cold graph."""

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from tfgates.base.errors import UserError
from tfgates_server import inference
from tfgates_server.refused import Refused

FILE = "assets.extra/tf_serving_warmup_requests"
METHODS = {"predict_log": inference.predict, "classify_log": inference.classify}


def warm_up(model, path):
    """Replays the predict and classify logs of a version's warm-up file, where there is one.

    Args:
        model: `Model`.
        path: of the version's folder.

    Raises:
        UserError: the file is damaged, or the model refuses a request of it.
    """
    file = path / FILE
    if not file.exists():
        return
    try:
        for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
            log = prediction_log_pb2.PredictionLog.FromString(record)
            kind = log.WhichOneof("log_type")
            if kind in METHODS:
                METHODS[kind](getattr(log, kind).request, model, _run)
    except (tf.errors.OpError, DecodeError, Refused) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{file} cannot be replayed: {reason}. Export the run again.") from error


def _run(model, signature, inputs):
    return model.run(signature, inputs)
