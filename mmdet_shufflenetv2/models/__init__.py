"""Models: backbones, necks, heads, detectors and classifiers, one folder per family.

Nothing here reads datasets or files. The key layouts of published weights are in :mod:`..checkpoints`.
"""
