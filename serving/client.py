"""Classifies image files with a model server; needs neither TensorFlow nor tfgates.

    python serving/client.py a.jpg b.jpg

Talks to TensorFlow Serving or serving/server.py. Exit code: 0 when every image was classified, 1
when some were not, 2 when the server gave no answer at all.
"""

import pathlib
import sys

import grpc
import tabulate
import wire
from absl import app, flags

SERVER = flags.DEFINE_string("server", "127.0.0.1:8500", "HOST:PORT of the server.")
flags.register_validator("server", bool, "is HOST:PORT, as 127.0.0.1:8500.")
MODEL = flags.DEFINE_string("model", "gated", "Name of the model there.")
flags.register_validator("model", bool, "is a name, as gated.")
TAU = flags.DEFINE_float(
    "tau", None, "Run a block where its probability is greater; unset: the model's own threshold."
)
flags.register_validator(
    "tau", lambda tau: tau is None or 0 < tau < 1, "is a probability in (0, 1), as 0.5."
)
TIMEOUT = flags.DEFINE_float(
    "timeout", 60.0, "Seconds to wait for an answer.", lower_bound=0.01, upper_bound=86_400.0
)

IMAGES_PER_REQUEST = 32
# The outputs that the client reads, and their ranks; the first axis is that of the images.
RANKS = {"classes": 2, "scores": 2, "gates": 2, "macs": 1, "status": 1}
ADVICE = {
    grpc.StatusCode.UNAVAILABLE: "Start one with python serving/server.py, or pass --server.",
    grpc.StatusCode.DEADLINE_EXCEEDED: "Pass a longer --timeout, or fewer images.",
    grpc.StatusCode.NOT_FOUND: "Pass the name that the server was started with as --model.",
}


class ClientError(Exception):
    """What the user can mend, shown as one line."""


def main(argv):
    paths = argv[1:]
    try:
        if not paths:
            raise ClientError(
                "There is no image to classify. Name JPEG or PNG files: client.py a.jpg b.jpg"
            )
        rows = classify_files(paths)
    except ClientError as error:
        _fail(error)
    headers = ["file", "label", "score", "gates", "M multiply-adds"]
    print(tabulate.tabulate(rows, headers, disable_numparse=True))
    return int(any(row[2] == "" for row in rows))


def classify_files(paths):
    """Classifies image files.

    Args:
        paths: list of file names.

    Returns:
        For each file, in order: its name, label, score, gates as 0/1, and multiply-adds in
        millions. Where it has no answer, the label is the reason and the rest is empty.

    Raises:
        ClientError: the server gives no answer.
    """
    rows, images = {}, {}
    for index, path in enumerate(paths):
        try:
            images[index] = pathlib.Path(path).read_bytes()
        except OSError as error:
            rows[index] = [path, *_failed(error.strerror)]
    indices = list(images)
    answered = False
    with grpc.insecure_channel(
        SERVER.value, options=[("grpc.max_receive_message_length", -1)]
    ) as channel:
        for first in range(0, len(indices), IMAGES_PER_REQUEST):
            batch = indices[first : first + IMAGES_PER_REQUEST]
            try:
                answers = predict(channel, [images[index] for index in batch])
                answered = True
            except ClientError as error:
                if not answered:
                    raise
                # What earlier requests brought is not lost.
                print(f"client.py: error: {error}", file=sys.stderr)
                answers = [_failed("no answer")] * len(batch)
            for index, answer in zip(batch, answers, strict=True):
                rows[index] = [paths[index], *answer]
    return [rows[index] for index in range(len(paths))]


def predict(channel, images):
    """Asks the server for one batch.

    Args:
        channel: `grpc.Channel`.
        images: list of the bytes of image files.

    Returns:
        List of label, score, gates, multiply-adds, as texts.

    Raises:
        ClientError: the server gives no answer, or one of another model.
    """
    request = wire.PredictRequest()
    request.model_spec.name = MODEL.value
    wire.set_strings(request.inputs["image_bytes"], images)
    if TAU.value is not None:
        request.model_spec.signature_name = "predict_tau"
        wire.set_floats(request.inputs["tau"], [TAU.value] * len(images))
    call = channel.unary_unary(
        wire.PREDICT,
        request_serializer=wire.PredictRequest.SerializeToString,
        response_deserializer=wire.PredictResponse.FromString,
    )
    try:
        response = call(request, timeout=TIMEOUT.value)
    except grpc.RpcError as error:
        advice = ADVICE.get(error.code(), "")
        raise ClientError(
            f"No answer from {SERVER.value}: {error.code().name}: {error.details()}. {advice}"
        ) from error
    return _rows(response.outputs, len(images))


def _rows(outputs, count):
    try:
        values = {}
        for name, rank in RANKS.items():
            values[name] = wire.to_array(outputs[name])
            if values[name].ndim != rank or len(values[name]) != count:
                raise ValueError(f"{name} has the shape {values[name].shape}.")
    except ValueError as error:
        raise ClientError(f"{MODEL.value} is no model exported by tfgates: {error}") from error
    rows = []
    for index, status in enumerate(values["status"]):
        if status != b"OK":
            reason = status.decode().removeprefix("INVALID_ARGUMENT: ")
            rows.append(_failed(reason))
            continue
        rows.append(
            [
                values["classes"][index, 0].decode(),
                f"{values['scores'][index, 0]:.3f}",
                "".join("1" if opened else "0" for opened in values["gates"][index]),
                f"{values['macs'][index] / 1e6:.2f}",
            ]
        )
    return rows


def _failed(reason):
    return [f"error: {reason}", "", "", ""]


def _parse(argv):
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        return _fail(f"{error} See --help.")


def _fail(message):
    print(f"client.py: error: {' '.join(str(message).split())}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    app.run(main, flags_parser=_parse)
