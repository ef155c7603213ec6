"""Data sets and the preprocessing that training and serving share."""
