"""Training a detector or a classifier, and what is shown and checked before it starts.

What a run survives is in :mod:`.fault_tolerance`; which data, classes and schedule it has, :mod:`..config` decides.
"""
