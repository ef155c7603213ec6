"""Inference: the policies of the paper side by side."""
