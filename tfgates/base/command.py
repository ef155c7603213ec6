"""How a command starts and fails: flags in, one-line errors out."""

import errno
import pathlib
import sys

from absl import app, flags, logging

from tfgates.base.errors import UserError
from tfgates.base.flag_files import require_no_circle
from tfgates.base.interrupts import taken

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# No path is longer; a number may be.
LONGEST = 4096
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR)


def run(main):
    """Parses the flags, calls `main()`, and shows bad input as one line with exit code 2.

    Args:
        main: function without arguments that reads its flags.
    """

    def without_arguments(argv):
        if len(argv) > 1:
            _fail(f"There are flags only, no arguments. Received: {argv[1]!r}. See --help.")
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.WARNING)
        try:
            with taken():
                main()
        except UserError as error:
            _fail(str(error))
        except OSError as error:
            if error.errno in FORBIDDEN and error.filename:
                _fail(
                    f"Cannot use {error.filename}: {error.strerror}. Make it accessible, or name "
                    "another folder."
                )
            if error.errno not in FULL:
                raise
            _fail(
                f"Cannot write {error.filename or 'to the disk'}: {error.strerror}. What is "
                "finished is kept: make room and start the same command again."
            )
        except KeyboardInterrupt:
            print("\nInterrupted. What is finished is kept; train.py resumes.", file=sys.stderr)
            sys.exit(130)

    app.run(without_arguments, flags_parser=_parse)


def _parse(argv):
    try:
        require_no_circle(argv)
        return flags.FLAGS(argv)
    except (flags.Error, UnicodeDecodeError, OSError) as error:
        return _fail(f"{error} See --help.")


def _fail(message):
    name = pathlib.Path(sys.argv[0]).name
    words = (word if len(word) <= LONGEST else f"{word[:100]}..." for word in message.split())
    print(f"{name}: error: {' '.join(words)}", file=sys.stderr)
    sys.exit(2)
