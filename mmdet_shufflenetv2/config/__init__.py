"""From a command's options to one resolved config.

This room loads configs, with or without running their code, and edits them: data, classes, image size, schedule and
fault tolerance, one file per subject. :mod:`..training` and :mod:`..evaluation` run the result.
"""
