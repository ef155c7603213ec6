"""Layers of one's own: a Python file that registers them with Keras, run before a model is read."""

import importlib.util
import pathlib
import sys

from tfgates.base.errors import UserError


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
    name = f"tfgates_code_{file.stem}"
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, file)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise UserError(
            f"--code={path} fails: {type(error).__name__}: {error}. Mend the file."
        ) from error
