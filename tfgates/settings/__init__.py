"""The flags of a training run, and what they make."""
