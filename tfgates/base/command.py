"""How a command starts and fails: flags in, one-line errors out."""

import contextlib
import errno
import importlib
import os
import pathlib
import sys

from absl import app, flags, logging

import tfgates
from tfgates.base.errors import UserError
from tfgates.base.flag_files import require_no_circle
from tfgates.base.interrupts import taken
from tfgates.base.quiet import quiet
from tfgates.base.shipped import with_recipes

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# No path is longer; a number may be.
LONGEST = 4096
HELP = {"-h", "-help", "--help", "--helpshort"}
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR)


flags.DEFINE_boolean("verbose", False, "Print what TensorFlow and CUDA say of their start.")


def run(main):
    """Parses the flags, calls `main()`, and shows bad input as one line with exit code 2.

    Args:
        main: function without arguments that reads its flags.
    """
    _run(lambda: main)


def start(module, check=None):
    """Does the same with the `main` of a module, which is imported once the flags are parsed.

    So --help and what is mistyped are answered at once, without TensorFlow.

    Args:
        module: name of the module.
        check: function without arguments that refuses flags, before the module is imported.
    """

    def load():
        if check:
            check()
        return _imported(module).main

    _run(load)


def _run(load):
    """Parses the flags, then calls what `load()` returns."""

    def without_arguments(argv):
        if len(argv) > 1:
            _fail(f"There are flags only, no arguments. Received: {argv[1]!r}. See --help.")
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.WARNING)
        try:
            main = load()
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

    # One of every command, as those that its own module defines.
    flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS["verbose"])
    app.run(without_arguments, flags_parser=_parse)


def _imported(name):
    """Imports a module, and with it TensorFlow, whose start is quiet."""
    if "tensorflow" in sys.modules:
        return importlib.import_module(name)
    if not flags.FLAGS.verbose:
        # After the import too it informs of itself; warnings and errors are shown.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    with contextlib.nullcontext() if flags.FLAGS.verbose else quiet():
        import keras

        # Its layers are known to Keras then, whatever the module imports.
        importlib.reload(tfgates)
        module = importlib.import_module(name)
        if keras.backend.backend() == "tensorflow":
            # What is said of the devices is said when somebody asks for them.
            sys.modules["tensorflow"].config.list_physical_devices()
    return module


def _parse(argv):
    if HELP.intersection(argv):
        app.usage(shorthelp=True, writeto_stdout=True)
        sys.exit(0)
    try:
        argv = with_recipes(argv)
        require_no_circle(argv)
        return flags.FLAGS(argv)
    except (flags.Error, UnicodeDecodeError, OSError) as error:
        return _fail(f"{error} See --help.")


def _fail(message):
    name = pathlib.Path(sys.argv[0]).name
    words = (word if len(word) <= LONGEST else f"{word[:100]}..." for word in message.split())
    print(f"{name}: error: {' '.join(words)}", file=sys.stderr)
    sys.exit(2)
