"""Reproducing tables 7 and 8 of the paper, one row at a time, from the data set to the published figure."""
