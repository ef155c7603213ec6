"""Checksums of an exported model: a bit that flips on its way to the server is found there.

The file is that of `sha256sum`; `sha256sum -c assets.extra/sha256sums.txt`, in the folder of the
version, checks it too.
"""

import hashlib
import pathlib

from tfgates.base.errors import UserError

FILE = "assets.extra/sha256sums.txt"
GRAPH = "saved_model.pb"


def write(version):
    """Writes the checksums of the graph, its weights and its labels.

    Args:
        version: folder of a SavedModel.
    """
    version = pathlib.Path(version)
    files = (path for path in version.rglob("*") if path.is_file())
    names = sorted(path.relative_to(version).as_posix() for path in files)
    names = [name for name in names if not name.startswith("assets.extra/")]
    text = "".join(f"{_digest(version / name)}  {name}\n" for name in names)
    (version / FILE).write_text(text)


def verify(version):
    """Compares the files of a version with their checksums, where it has any.

    Args:
        version: folder of a SavedModel.

    Raises:
        UserError: a file is missing or another than was exported.
    """
    version = pathlib.Path(version)
    sums = version / FILE
    if not sums.exists():
        return
    lines = sums.read_bytes().decode(errors="replace").splitlines()
    digests = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for name in (GRAPH, *digests):
        try:
            sound = _digest(version / name) == digests.get(name)
        except (OSError, ValueError):
            sound = False
        if not sound:
            raise UserError(
                f"{version / name} is not what was exported: its SHA-256 is not that of {FILE}. "
                "Copy the version again, or export it again."
            )


def _digest(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
