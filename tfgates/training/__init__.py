"""Training: the classifier, its callbacks, and the strategy it runs under."""
