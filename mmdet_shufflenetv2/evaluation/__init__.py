"""Evaluate a checkpoint, and report the mistakes of a detector.

:mod:`..inference` detects objects in single images.
"""
