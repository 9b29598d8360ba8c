"""Helpers for every other part of the package: errors, files, image files, devices, options.

They import nothing else of the package, and need neither MMEngine nor MMDetection.
"""
