"""Train a detector or a classifier, and check and show its data before.

:mod:`.fault_tolerance` protects a run from failures. :mod:`..config` sets its data, classes and schedule.
"""
