"""Checkpoint files: reading them without executing code, key layouts of other code bases, published weights, the latest
valid checkpoint of a folder, and errors for weights that do not match the model.

Building a model and choosing a config belong to :mod:`..models` and :mod:`..config`.
"""
