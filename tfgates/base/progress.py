"""How far a long task is: a bar on a screen, one line in a log."""

import contextlib
import shutil
import sys
import time

import tqdm

# Seconds before a bar appears: what is done sooner needs none.
DELAY = 1


@contextlib.contextmanager
def progress(task, unit, total=None):
    """Shows how far a task is while the block runs.

    A log gets its line at the end of the task, but for the name of it, which comes at once.

    Args:
        task: what is done, as "Evaluating on 10 test images".
        unit: what is counted, in the plural.
        total: how many there are; None where the function is told.

    Yields:
        Function (done, total=None), to be called with the number done so far, and of all.
    """
    screen = sys.stdout.isatty()
    # Not tqdm's own, which shows nothing on a terminal without a size.
    columns, lines = shutil.get_terminal_size()
    start, count = time.monotonic(), 0
    if not screen:
        print(f"{task}: ", end="", flush=True)
    with tqdm.tqdm(
        desc=task,
        unit=f" {unit}",
        total=total,
        file=sys.stdout,
        disable=not screen,
        delay=DELAY,
        ncols=columns,
        nrows=lines,
    ) as bar:

        def show(done, total=None):
            nonlocal count
            if total is not None:
                bar.total = total
            bar.update(done - count)
            count = done

        try:
            yield show
        finally:
            if not screen:
                print(f"{count} {unit} in {time.monotonic() - start:.1f} s", flush=True)
