"""Where images come from: files, folders, patterns and lists, read batch by batch."""

import dataclasses
import glob
import os
import pathlib
import stat
import sys
from collections.abc import Iterable, Iterator

from tfgates_client.answers import Answer

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
STDIN = "-"
# Files fail with the codes that a server would use.
CODES: dict[type[Exception], str] = {
    FileNotFoundError: "NOT_FOUND",
    PermissionError: "PERMISSION_DENIED",
}

Image = str | os.PathLike[str] | bytes


def find_images(*places: str | os.PathLike[str]) -> Iterator[str]:
    """Finds image files, one at a time.

    Args:
        places: files; folders, searched recursively for files with `SUFFIXES` in the order of their
            names (links to other folders are not followed); patterns, as `photos/**/*.jpg`; and
            "-", a list of files and folders on stdin, one on each line. What is no file in a
            folder, or matches a pattern, as a named pipe, is skipped.

    Yields:
        Names of files, in the order of the places. A place that is not there is one of them: it
        fails with its reason when it is read.
    """
    for place in [os.fspath(place) for place in places]:
        if place == STDIN:
            for line in sys.stdin.buffer if sys.stdin else ():
                if name := os.fsdecode(line.rstrip(b"\r\n")):
                    yield from _expand(name)
        elif glob.has_magic(place) and not os.path.lexists(place):
            yield from _match(place)
        else:
            yield from _expand(place)


def _match(pattern: str) -> Iterator[str]:
    # Path.glob takes no absolute pattern.
    matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207
    if "**" in pattern:  # It names what is in its folders itself.
        matches = [match for match in matches if not os.path.isdir(match)]  # noqa: PTH112
    for match in [match for match in matches if not _is_special(match)] or [pattern]:
        yield from _expand(match)


def _expand(name: str) -> Iterator[str]:
    # A name that cannot be looked up is an image that cannot be read, not an end.
    if os.path.isdir(name):  # noqa: PTH112
        yield from _search(name)
    else:
        yield name


def _search(folder: str) -> Iterator[str]:
    try:
        names = sorted(entry.name for entry in os.scandir(folder))
    except OSError:
        yield folder  # Reading it says why.
        return
    for name in names:
        path = os.path.join(folder, name)  # noqa: PTH118  Path would turn ./a into a.
        if os.path.isdir(path):  # noqa: PTH112
            if not os.path.islink(path):  # noqa: PTH114
                yield from _search(path)
        elif name.lower().endswith(SUFFIXES) and not _is_special(path):
            yield path


def _is_special(path: str) -> bool:
    """Whether it is a pipe, a socket or a device, which might never end."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


@dataclasses.dataclass
class Batch:
    """Images of one request, and the answers of those between them that could not be read.

    Attributes:
        names: of the images.
        contents: bytes of their files.
        unread: position among all images of the batch -> answer.
    """

    names: list[str] = dataclasses.field(default_factory=list)
    contents: list[bytes] = dataclasses.field(default_factory=list)
    unread: dict[int, Answer] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names) + len(self.unread)

    def merge(self, answers: Iterable[Answer]) -> Iterator[Answer]:
        """Yields the answers of all its images in order, given those of what was read."""
        answered = iter(answers)
        for position in range(len(self)):
            yield self.unread[position] if position in self.unread else next(answered)


def batches(images: Iterable[Image], size: int, max_bytes: int) -> Iterator[Batch]:
    """Reads images into batches.

    Args:
        images: names of files, or the bytes of encoded images.
        size: of a batch, at most.
        max_bytes: of the images in a batch; a greater image is not read.

    Yields:
        `Batch`es; no image is read before its batch is asked for, but for one that was too great
        for the batch before.
    """
    batch, total = Batch(), 0
    for index, image in enumerate(images):
        name = f"image {index}" if isinstance(image, bytes) else os.fspath(image)
        content = _read(name, image, max_bytes)
        if isinstance(content, bytes) and total + len(content) > max_bytes:
            yield batch
            batch, total = Batch(), 0
        if isinstance(content, bytes):
            batch.names.append(name)
            batch.contents.append(content)
            total += len(content)
        else:
            batch.unread[len(batch)] = content
        if len(batch) == size:
            yield batch
            batch, total = Batch(), 0
    if len(batch):
        yield batch


def _read(name: str, image: Image, max_bytes: int) -> bytes | Answer:
    try:
        if isinstance(image, bytes):
            content = image
        else:
            with pathlib.Path(name).open("rb") as file:
                content = file.read(max_bytes + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        return Answer(name, f"{CODES.get(type(error), 'INVALID_ARGUMENT')}: {reason}")
    if len(content) > max_bytes:
        return Answer(name, f"OUT_OF_RANGE: greater than a request may be, {max_bytes} bytes")
    return content
