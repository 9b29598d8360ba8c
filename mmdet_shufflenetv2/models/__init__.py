"""What configs build: backbones, necks, heads, detectors and classifiers, a folder for each family.

Nothing here reads data sets or files; key layouts of published weights belong to :mod:`..checkpoints`.
"""
