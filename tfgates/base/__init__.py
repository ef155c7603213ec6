"""Errors, progress, files, and how a command runs: what every folder may use."""
