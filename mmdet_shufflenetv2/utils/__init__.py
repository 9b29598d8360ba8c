"""What every other part needs and none of it is about detection: errors, files, image files, devices.

Imports nothing of the package. Nothing here needs MMEngine or MMDetection.
"""
