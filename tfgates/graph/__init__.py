"""Surgery on functional Keras models: find branches, gate them, prune, fold, count."""
