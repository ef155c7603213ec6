"""Classifies images with a tfgates model that a server holds; needs no TensorFlow.

from tfgates_client import Client, find_images

with Client("127.0.0.1:8500", model="gated") as client:
    for answer in client.classify(find_images("photos/"), tau=0.5):
        print(answer.name, answer.label, answer.score, answer.status)
"""

import sys

from tfgates_client.interrupts import end_at_once

if sys.argv[:1] == ["-m"] and "tfgates_client" in sys.orig_argv:
    # The command is being found, and begins when all is imported.
    end_at_once()

from tfgates_client.answers import Answer
from tfgates_client.client import Client
from tfgates_client.connection import ServerError
from tfgates_client.images import find_images

__all__ = ["Answer", "Client", "ServerError", "find_images"]
