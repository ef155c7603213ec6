"""Layers of one's own: a Python file that registers them with Keras, run before a model is read."""

import pathlib
import runpy

from tfgates.base.errors import UserError

_RUN: set[pathlib.Path] = set()


def import_file(path):
    """Runs a Python file once, so that the classes that it registers can be loaded.

    Args:
        path: of the file; empty: nothing is done.

    Raises:
        UserError: there is no such file, or it fails.
    """
    if not path:
        return
    file = pathlib.Path(path).expanduser()
    if not file.is_file():
        raise UserError(
            f"--code is a Python file with layers of your own, each registered by "
            f"@keras.saving.register_keras_serializable(). Received: {path}, which is not a file."
        )
    if file.resolve() in _RUN:
        return
    try:
        runpy.run_path(str(file), run_name=f"code_{file.stem}")
    except Exception as error:
        raise UserError(
            f"--code={path} fails: {type(error).__name__}: {error}. Mend the file."
        ) from error
    _RUN.add(file.resolve())
