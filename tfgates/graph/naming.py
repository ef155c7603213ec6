"""Names of branches, the same each time a model is built."""

import itertools
import re

ENDINGS = ("_add", "_concat", "_sum", "_out")


def names_taken(operations):
    """Returns the names that no branch may have.

    Those that Keras gives are taken without their numbers too: `dense` of one model is `dense_7` of
    the next one in the process.
    """
    own = {_unnumbered(one) for one in operations if _named_by_keras(one)}
    return own | {one.name for one in operations}


def branch_name(join, inside, index, taken):
    """Returns that of the sum without its ending, else what the names of the layers share.

    Args:
        join: operation, the sum or concatenation in which the branch ends.
        inside: operations of the branch.
        index: of the branch, which is its name where nobody named anything.
        taken: names of others.
    """
    candidates = []
    if not _named_by_keras(join):
        short = [join.name.removesuffix(ending) for ending in ENDINGS if join.name.endswith(ending)]
        candidates = [*short, f"{join.name}_branch"]
    given = [one.name.split("_") for one in inside if not _named_by_keras(one)]
    alike = itertools.takewhile(lambda words: len(set(words)) == 1, zip(*given, strict=False))
    number = f"branch_{index:02d}"
    candidates += ["_".join(word for word, *_ in alike), number]
    return next((name for name in candidates if name and name not in taken), f"{number}_gated")


def _named_by_keras(operation):
    """Whether nobody named an operation: it is called by its class, and perhaps a number."""
    return _unnumbered(operation).replace("_", "") == type(operation).__name__.lower()


def _unnumbered(operation):
    return re.sub(r"_\d+$", "", operation.name)
