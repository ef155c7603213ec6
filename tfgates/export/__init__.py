"""Export: from a trained network to a SavedModel that skips closed branches."""
