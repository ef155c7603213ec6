"""Classifies images with a model server.

    python -m tfgates_client a.jpg photos/

All else is as of serving/client.py.
"""

from absl import flags

from tfgates_client import command

flags.adopt_module_key_flags(command)
command.run()
