"""Classifies images with a model server.

    tfgates classify a.jpg photos/ 'more/**/*.png'
    find photos -name '*.jpg' | tfgates classify --format=jsonl - > answers.jsonl

Talks to TensorFlow Serving or `tfgates serve`. Folders are searched recursively for .jpg, .jpeg,
.png, .bmp and .webp; - reads the names of files and folders from stdin. Answers go to stdout in the
order of the images, a summary to stderr. Exit code: 0 when every image was classified, 1 when some
were not, 2 when there was nothing to classify or the server gave no answer at all, 130 after
Ctrl-C; the second Ctrl-C ends it at once.
"""

from absl import flags

from tfgates_client import command

flags.adopt_module_key_flags(command)

if __name__ == "__main__":
    command.run()
