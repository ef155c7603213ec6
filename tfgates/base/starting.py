"""Whether this process is a command that has yet to read its flags."""

import pathlib
import sys


def reads_flags():
    """Whether a command of tfgates starts here, and neither Keras nor TensorFlow is imported yet.

    A command is python -m tfgates, or one of its tools; the program `tfgates`; or a script that
    says so by a variable `TFGATES_COMMAND`. Until its flags are read it has no use for the library,
    whose import takes seconds.
    """
    # So it stands there while Python looks for the module.
    by_module = sys.argv[:1] == ["-m"] and any(
        word == "tfgates" or word.startswith("tfgates.tools.") for word in sys.orig_argv
    )
    by_name = pathlib.Path(sys.argv[0]).name == "tfgates"
    by_script = hasattr(sys.modules["__main__"], "TFGATES_COMMAND")
    return (by_module or by_name or by_script) and "keras" not in sys.modules
