"""A start without the lines that TensorFlow, CUDA and absl print at every one of them."""

import contextlib
import os
import re
import signal
import sys

# They go to file descriptor 2 before any level of logging is heard.
# Of a GPU that does not work other lines tell; this one is of a machine that has none.
KNOWN = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog\(\) is called are written to STDERR"
    rb"|To enable the following instructions: .*rebuild TensorFlow with the appropriate"
    rb"|[IWE]\d{4} .*\] ("
    rb"oneDNN custom operations are on\."
    rb"|This TensorFlow binary is optimized to use available CPU instructions"
    rb"|Could not find cuda drivers on your machine"
    rb"|failed call to cuInit: .*UNKNOWN ERROR \(303\)"
    rb"|Unable to register cu\w+ (factory|plugin)"
    rb"|computation placer already registered"
    rb"|TF-TRT Warning: Could not find TensorRT"
    rb"|successful NUMA node read from SysFS had negative value"
    rb"|could not open file to read NUMA node"
    rb")"
)
END = b"The start of tfgates ends here.\n"


@contextlib.contextmanager
def quiet():
    """Passes on what the block writes to file descriptor 2, but for the `KNOWN` lines.

    A process of its own reads it, line by line: what a block says that kills its process is told.
    """
    if sys.stderr is None:
        # Closed by who has started this.
        yield
        return
    sys.stderr.flush()
    before = os.dup(2)
    source, target = os.pipe()
    reader = os.fork()
    if not reader:
        os.close(target)
        _pass_on(source, before)
    os.close(source)
    os.dup2(target, 2)
    os.close(target)
    try:
        yield
    finally:
        sys.stderr.flush()
        # A process that the block has started may hold the pipe for longer.
        os.write(2, END)
        os.dup2(before, 2)
        os.close(before)
        os.waitpid(reader, 0)


def _pass_on(source, target):
    """Is the process that reads; never returns."""
    # Ctrl-C is for the other one, whose end is that of the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with os.fdopen(source, "rb") as lines:
        for line in lines:
            text = line.removesuffix(END)
            # A full disk is no reason to stop reading.
            with contextlib.suppress(OSError):
                os.write(target, b"" if KNOWN.match(text) else text)
            if len(text) < len(line):
                break
    os._exit(0)
