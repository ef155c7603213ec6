"""The commands, python -m tfgates.tools.NAME: their flags, which are read without TensorFlow."""
