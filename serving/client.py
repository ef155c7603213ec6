"""Classifies images with a model server; needs neither TensorFlow nor tfgates.

    python serving/client.py a.jpg photos/ 'more/**/*.png'
    find photos -name '*.jpg' | python serving/client.py --format=jsonl - > answers.jsonl

Talks to TensorFlow Serving or serving/server.py. Folders are searched recursively for .jpg, .jpeg,
.png, .bmp and .webp; - reads the names of files and folders from stdin. Answers go to stdout in the
order of the images, a summary to stderr. Exit code: 0 when every image was classified, 1 when some
were not, 2 when there was nothing to classify or the server gave no answer at all, 130 after
Ctrl-C; the second Ctrl-C ends it at once.
"""

import os
import pathlib
import signal
import sys

if __name__ == "__main__":
    # Until images are classified Ctrl-C has nothing to finish; a background job ignores it.
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # What gRPC would log of a failed handshake is in the error; it looks here when it is imported.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    # The package beside this folder, in a clone where nothing is installed.
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from tfgates_client import Answer, Client, ServerError, find_images

__all__ = ["Answer", "Client", "ServerError", "find_images"]

if __name__ == "__main__":
    from absl import flags

    from tfgates_client import command

    flags.adopt_module_key_flags(command)
    command.run()
