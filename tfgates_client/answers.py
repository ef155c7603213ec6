"""What a model says of one image."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tfgates_client import wire

OK = "OK"
# The outputs that an answer needs, their ranks, and their NumPy kinds: bytes, floats, integers,
# truths. The first axis is that of the images.
OUTPUTS = {
    "classes": (2, "O"),
    "scores": (2, "f"),
    "class_ids": (2, "i"),
    "gates": (2, "b"),
    "macs": (1, "f"),
    "status": (1, "O"),
}
# Those that an answer has where the model does.
OPTIONAL = {"macs_full": (1, "f"), "exit": (1, "i")}
TOP = ("classes", "scores", "class_ids")


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What a model says of one image; empty but for its name and status where that is not "OK".

    Attributes:
        name: of the file, or "image N" for the bytes at position N of the input.
        status: "OK", or "CODE: reason", of the file, the image or the request it was part of.
        labels: names of the likeliest classes, the likeliest first.
        scores: their probabilities.
        class_ids: their numbers.
        gates: whether each block ran.
        macs: multiply-adds executed for this image.
        macs_full: those with every block run; None where the model does not say.
        exit: the number of the early exit that answered, from 1, the end being the last; None of a
            model without exits.
    """

    name: str
    status: str = OK
    labels: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    class_ids: tuple[int, ...] = ()
    gates: tuple[bool, ...] = ()
    macs: float = 0.0
    macs_full: float | None = None
    exit: int | None = None

    @property
    def ok(self) -> bool:
        """Whether the image was classified."""
        return self.status == OK

    @property
    def label(self) -> str:
        """Name of the likeliest class; "" where the image was not classified."""
        return self.labels[0] if self.labels else ""

    @property
    def score(self) -> float:
        """Probability of the likeliest class; 0 where the image was not classified."""
        return self.scores[0] if self.scores else 0.0


def from_outputs(names: Sequence[str], outputs: Mapping[str, Any]) -> list[Answer]:
    """Returns the answers that the outputs of a request hold.

    Args:
        names: of its N images.
        outputs: `wire` tensors by name, N first.

    Raises:
        ValueError: these are not the outputs of a model exported by tfgates.
    """
    wanted = OUTPUTS | {name: of for name, of in OPTIONAL.items() if name in outputs}
    arrays = {name: _array(outputs, name, *of, len(names)) for name, of in wanted.items()}
    if len({arrays[name].shape for name in TOP}) > 1:
        raise ValueError(f"{', '.join(TOP)} have several shapes.")
    columns = {name: array.tolist() for name, array in arrays.items()}
    full, left = (columns.get(name, [None] * len(names)) for name in OPTIONAL)
    answers = []
    for row, name in enumerate(names):
        status = columns["status"][row].decode()
        if status != OK:
            answers.append(Answer(name, status))
            continue
        answers.append(
            Answer(
                name,
                labels=tuple(label.decode() for label in columns["classes"][row]),
                scores=tuple(columns["scores"][row]),
                class_ids=tuple(columns["class_ids"][row]),
                gates=tuple(columns["gates"][row]),
                macs=columns["macs"][row],
                macs_full=full[row],
                exit=left[row],
            )
        )
    return answers


def _array(
    outputs: Mapping[str, Any], name: str, rank: int, kind: str, count: int
) -> npt.NDArray[np.generic]:
    if name not in outputs:
        raise ValueError(f"it has no output {name}.")
    shape = wire.shape_of(outputs[name])
    if len(shape) != rank or shape[0] != count:
        raise ValueError(f"{name} has the shape {shape} for {count} images.")
    array = wire.to_array(outputs[name])
    if array.dtype.kind != kind:
        raise ValueError(f"{name} has the type {array.dtype}.")
    if kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{name} has a number that is not finite.")
    return array
