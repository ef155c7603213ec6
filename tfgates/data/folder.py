"""Pictures of one's own: a folder with a sub-folder of image files for each class."""

import collections
import dataclasses
import hashlib
import pathlib

import numpy as np
import tensorflow as tf

from tfgates.base.errors import UserError
from tfgates.base.progress import progress
from tfgates.data.cutting import cut
from tfgates.data.labels import require_lines
from tfgates.data.preprocess import decode

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp"}
# Sub-folders that are splits, by the part they play.
SPLITS = {"train": ("train",), "validation": ("validation", "val", "valid"), "test": ("test",)}
NO_CLASSES = {"training", "testing", *(name for names in SPLITS.values() for name in names)}


@dataclasses.dataclass(frozen=True)
class FolderDataset:
    """Image files, one sub-folder for each class; it offers what `ImageDataset` does.

    Attributes:
        name: "folder:PATH".
        labels: names of the classes, the sub-folders, in alphabetical order.
        splits: for "train", "validation" and "test" in words, what plays it.
        fingerprint: text that changes with the name or the size of any file.
    """

    name: str
    labels: tuple[str, ...]
    splits: dict[str, str]
    fingerprint: str
    _files: dict[str, list[tuple[str, int]]]

    def size(self, split):
        """Returns the number of images of "train", "validation" or "test"."""
        return len(self._files[split])

    def records(self, split, order=None):
        """Returns a `tf.data.Dataset` of (encoded image, string scalar; label, int64 scalar).

        Args:
            split: "train", "validation" or "test".
            order: int64 scalar that seeds the order of the images; None keeps one order.
        """
        paths, labels = zip(*self._files[split], strict=True)
        files = tf.data.Dataset.from_tensor_slices((list(paths), np.array(labels, "int64")))
        if order is not None:
            files = files.shuffle(len(paths), seed=order, reshuffle_each_iteration=False)
        return files.map(lambda path, label: (tf.io.read_file(path), label), tf.data.AUTOTUNE)

    def present(self, split):
        """Returns the classes, ids, that have pictures in a split."""
        return {label for _, label in self._files[split]}

    def unreadable(self):
        """Decodes every picture, and returns the paths of those that cannot be, in order."""
        paths = [path for files in self._files.values() for path, _ in files]
        decoded = tf.data.Dataset.from_tensor_slices(paths).map(
            lambda path: (path, tf.size(decode(tf.io.read_file(path)))), tf.data.AUTOTUNE
        )
        sound = set()
        with progress("Checking the pictures", "sound ones", len(paths)) as show:
            for path, _ in decoded.ignore_errors().as_numpy_iterator():
                sound.add(path.decode())
                show(len(sound))
        return sorted(set(paths) - sound)


def open_folder(path, recorded=None):
    """Opens a folder of pictures: PATH/CLASS/*.jpg, or PATH/train/CLASS/*.jpg and so on.

    Args:
        path: of the folder. Files of other kinds than JPEG, PNG, BMP, GIF and WebP are left out.
        recorded: splits in words, of a run whose cut is kept; see `tfgates.data.cutting`.

    Returns:
        `FolderDataset`. A split without a folder of its own, validation (or val) and test, is cut
        from the training images: a tenth of every class, at most 10,000 of all.

    Raises:
        UserError: no such folder, less than two classes, a class without images, or too few.
    """
    name, root = f"folder:{path}", pathlib.Path(path).expanduser()
    if not path or not root.is_dir():
        raise UserError(
            f"--dataset={name} names no folder. Received: {path!r}. Pass folder:PATH, where PATH "
            "has one sub-folder of pictures for each class."
        )
    roots = {
        split: next((root / folder for folder in folders if (root / folder).is_dir()), None)
        for split, folders in SPLITS.items()
    }
    top = roots["train"] or root
    labels = tuple(sorted(folder.name for folder in _folders(top)))
    taken = [label for label in labels if label.lower() in NO_CLASSES]
    if taken:
        raise UserError(
            f"--dataset={name} has folders that are named like splits, {', '.join(taken)}, and no "
            "train. Name the splits train, validation (or val) and test, with the classes in them."
        )
    if len(labels) < 2:
        raise UserError(
            f"--dataset={name} has {len(labels)} sub-folders with pictures in {top}, and needs two "
            "or more, one for each class."
        )
    require_lines(name, labels)
    given = {
        split: _files(name, folder, labels)
        for split, folder in roots.items()
        if folder is not None and roots["train"] is not None
    }
    files, splits = _divide(name, given.get("train") or _files(name, root, labels), given, recorded)
    return FolderDataset(name, labels, splits, _fingerprint(root, files), files)


def _folders(root):
    hidden = (".", "__MACOSX")
    return [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(hidden)]


def _files(name, root, labels):
    unknown = sorted({folder.name for folder in _folders(root)} - set(labels))
    if unknown:
        raise UserError(f"--dataset={name} has the class {unknown[0]} in {root} alone. Move it.")
    files = []
    others: collections.Counter[str] = collections.Counter()
    for label, folder in enumerate(labels):
        if _folders(root / folder):
            raise UserError(
                f"--dataset={name} has folders within the class {root / folder}. A class holds "
                "pictures alone: move them there."
            )
        found = [
            path
            for path in (root / folder).iterdir()
            if path.is_file() and not path.name.startswith(".")
        ]
        paths = [str(path) for path in found if path.suffix.lower() in SUFFIXES]
        others.update(path.suffix or path.name for path in found)
        if not paths:
            raise UserError(
                f"--dataset={name} has no pictures in {root / folder} (known endings: "
                f"{', '.join(sorted(SUFFIXES))}). Add some, or remove the folder."
            )
        files += [(path, label) for path in paths]
    left_out = [f"{n} {ending}" for ending, n in others.items() if ending.lower() not in SUFFIXES]
    if left_out:
        print(f"Left out in {root}: {', '.join(left_out)}.", flush=True)
    # Classes are mixed once; a picture keeps its place whatever others come or go.
    return sorted(files, key=lambda file: _digest(pathlib.Path(file[0]).relative_to(root)))


def _digest(text):
    return hashlib.sha256(str(text).encode()).hexdigest()


def _fingerprint(root, files):
    """Of the names and sizes of all files, not of their bytes, which would have to be read."""
    listed = sorted(
        f"{pathlib.Path(path).relative_to(root)} {pathlib.Path(path).stat().st_size}"
        for part in files.values()
        for path, _ in part
    )
    return _digest("\n".join(listed))[:16]


def _divide(name, train, given, recorded):
    missing = [split for split in ("validation", "test") if split not in given]
    parts, splits = cut(train, missing, recorded)
    files = {split: given.get(split) or parts[split] for split in ("validation", "test")}
    files["train"] = parts["train"]
    splits |= {
        split: f"{len(given[split])} pictures of its own"
        for split in ("validation", "test")
        if split in given
    }
    splits["train"] = f"{len(files['train'])} pictures"
    for split, part in files.items():
        if not part or (split == "train" and len({label for _, label in part}) < 2):
            raise UserError(
                f"--dataset={name} has too few pictures: none are left for {split}. Add some; "
                "ten for each class are the least that makes sense."
            )
    return files, splits
