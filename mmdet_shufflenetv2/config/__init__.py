"""From what a user asked for to one config: reading it, also without running code, and the edits that lay data,
classes, image size, schedule and fault tolerance over it, each in one file.

Edits of a config belong here. Running one belongs to :mod:`..training` and :mod:`..evaluation`.
"""
