"""The one door through which the files of a run are read: damage is told in a line, by name."""

import csv

from tfgates.base.errors import UserError

# What reading a file of the right form never raises.
DAMAGE = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    csv.Error,
)


def read_file(path, reader, way_out):
    """Reads a file by a function of the open file; None where there is none.

    Args:
        path: `pathlib.Path` of the file.
        reader: function of the open text file; raises any of `DAMAGE` where the file is damaged.
        way_out: sentence that says what mends it.

    Raises:
        UserError: it is damaged, or cannot be read.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return reader(file)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}. {way_out}") from error
    except DAMAGE as error:
        raise UserError(
            f"{path} is damaged: {type(error).__name__}, {str(error)[:200]}. {way_out}"
        ) from error
