"""flags.cfg: the flag file of a run folder, which repeats its run."""

from tfgates.base.errors import UserError
from tfgates.base.files import replacing
from tfgates.base.reading import read_file
from tfgates.settings.flag import as_text
from tfgates.settings.flags import TABLE

WAY_OUT = "Mend the line, restore the file, or name another folder."


def write(path, settings):
    """Writes the flags of a `TrainConfig`."""
    with replacing(path) as file:
        file.write(settings.as_flagfile())


def read(path):
    """Reads what `write` has written, perhaps that of an older version.

    Args:
        path: `pathlib.Path` of the file.

    Returns:
        The texts of all flags by name, in which one that the file lacks has its default; and a list
        of the lines that are no known --NAME=VALUE.

    Raises:
        UserError: it cannot be read, or a flag of numbers has none.
    """
    texts = {name: as_text(flag.value()) for name, flag in TABLE.items()}
    unknown = []
    for line in read_file(path, lambda file: file.read().split("\n"), WAY_OUT) or []:
        name, given, text = line.partition("=")
        if given and name.startswith("--") and name[2:] in TABLE:
            texts[name[2:]] = text
        elif line.strip() and not line.startswith("#"):
            unknown.append(line)
    for name, text in texts.items():
        if not _is_number(TABLE[name].kind, text):
            raise UserError(f"{path} is damaged: --{name}={text[:40]} is not a number. {WAY_OUT}")
    return texts, unknown


def _is_number(kind, text):
    """Whether a text is one that a flag of numbers takes; any is, of another kind."""
    try:
        {"integer": int, "float": float}.get(kind, str)(text)
    except ValueError:
        return False
    return True


def require_same(path, settings):
    """Refuses to go on with a run of other flags, but for those that may change.

    Args:
        path: `pathlib.Path` of its flag file.
        settings: `TrainConfig`.

    Raises:
        UserError: another flag, an unknown one, or a file that cannot be read.
    """
    before, unknown = read(path)
    if unknown:
        raise UserError(
            f"{path} is made of flags that this tfgates knows, as --NAME=VALUE. Received: "
            f"{', '.join(unknown)}. Remove it to go on without, or choose another --output_dir."
        )
    for name, text in settings.as_texts().items():
        if not TABLE[name].resumes and before[name] != text:
            raise UserError(
                f"{path.parent} holds a run with --{name}={before[name]}, and this one has "
                f"--{name}={text}. Choose another --output_dir, or remove that folder."
            )
    if settings.spans_epochs and before["epochs"] != as_text(settings.epochs):
        raise UserError(
            f"{path.parent} holds a run of --epochs={before['epochs']}, over which "
            f"{settings.spans_epochs} runs its course. Received: "
            f"--epochs={settings.epochs}. Choose another --output_dir, or pass "
            f"--epochs={before['epochs']}."
        )
