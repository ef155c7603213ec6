"""Names of classes: what stands on a line of its own in tables, pages and labels.txt."""

import unicodedata

from tfgates.base.errors import UserError

# Control characters, what no encoding knows, and what ends a line or a paragraph.
NOT_IN_A_LINE = {"Cc", "Cs", "Zl", "Zp"}
LISTED = 5


def absent(dataset):
    """Says which classes a split lacks, in a line; None where there are none.

    Args:
        dataset: `ImageDataset` or `FolderDataset`.
    """
    found = []
    for split in dataset.splits:
        known = dataset.present(split)
        names = [name for index, name in enumerate(dataset.labels) if index not in known]
        if names:
            more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
            found.append(f"{split}: {', '.join(names[:LISTED])}{more}")
    if not found:
        return None
    return (
        f"Note: classes without images of {dataset.name}, in {'; in '.join(found)}. What is not "
        "trained is not known, and of what is not tested no error is measured."
    )


def require_lines(name, labels):
    """Refuses names of classes that are no line of text.

    Args:
        name: of the data set.
        labels: names of its classes.

    Raises:
        UserError: one is empty, has a control character, or is not UTF-8.
    """
    for label in labels:
        if not label.strip() or any(unicodedata.category(x) in NOT_IN_A_LINE for x in label):
            raise UserError(
                f"--dataset={ascii(name)[1:-1]} has a class whose name is not a line of text. "
                f"Received: {label!a}. Rename it, without control characters."
            )
