"""Names of classes: what stands on a line of its own in tables, pages and labels.txt."""

import unicodedata

from tfgates.base.errors import UserError

# Control characters, what no encoding knows, and what ends a line or a paragraph.
NOT_IN_A_LINE = {"Cc", "Cs", "Zl", "Zp"}


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
