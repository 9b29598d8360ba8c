"""A user's own data under any detector: found, described, and laid over the config in one step.

:mod:`.layouts` recognises what lies in a folder, COCO's format or YOLO's, and yields an :class:`.OwnData`;
:mod:`.common_form` writes what MMDetection reads as it is; :mod:`.overlay` sets classes, data sets and heads of a
config; :mod:`.run_flags` fits a schedule to it; :mod:`.checkpoint` lets a checkpoint's classes take effect wherever it
is used.
"""
