"""Evaluating a checkpoint, and the report of what a detector gets right and wrong.

Detections of single images belong to :mod:`..inference`.
"""
