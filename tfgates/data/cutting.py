"""Which pictures of a folder are kept for validation and test: of every class its share."""

import collections

from tfgates.data.splits import MAX_VALIDATION, validation_size

BY_CLASS = "pictures cut from training, of every class its share"
# Until version 0.1, whatever their classes: a run of then keeps its splits.
AT_THE_END = "pictures cut from training"
# From so many pictures on a class has one in each split.
LEAST = 3


def cut(train, splits, recorded=None):
    """Cuts splits out of the training pictures; the same pictures are cut in the same way.

    Args:
        train: list of (path, class), in an order that mixes the classes.
        splits: names of those to be cut.
        recorded: splits in words, of a run whose cut is kept; None: by class.

    Returns:
        The pictures of each split by its name, those left under "train"; and what plays each split
        that was cut, in words.
    """
    as_before = any(words.endswith(AT_THE_END) for words in (recorded or {}).values())
    groups = collections.defaultdict(list)
    for file in train:
        groups[0 if as_before else file[1]].append(file)
    if as_before:
        shares = {0: validation_size(len(train))}
    else:
        shares = {label: _share(len(group), len(train)) for label, group in groups.items()}
    place: dict[tuple, str] = {}
    for split in splits:
        for label, share in shares.items():
            left = len(groups[label]) - share
            place |= dict.fromkeys(groups[label][left:], split)
            del groups[label][left:]
    parts: dict[str, list] = {split: [] for split in ("train", *splits)}
    for file in train:
        parts[place.get(file, "train")].append(file)
    kind = AT_THE_END if as_before else BY_CLASS
    return parts, {split: f"{len(parts[split])} {kind}" for split in splits}


def _share(pictures, of_all):
    """A tenth of a class; less where that would be more than 10,000 of all; one of a rare class."""
    every = max(10, -(-of_all // MAX_VALIDATION))
    return max(pictures // every, int(pictures >= LEAST))
