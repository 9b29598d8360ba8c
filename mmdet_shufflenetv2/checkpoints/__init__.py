"""All that is known of weight files: reading them without running code, the key layouts of other code bases, the
latest valid one of a folder, and what is said where weights do not fit.

Building a model and choosing a config belong to :mod:`..models` and :mod:`..config`.
"""
