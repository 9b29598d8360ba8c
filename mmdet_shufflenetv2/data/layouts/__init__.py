"""The layouts that data sets come in, a file each: COCO's format and YOLO's, found by what lies in a folder.

Each yields an :class:`.UserDataset`. Checks of the annotations themselves belong to :mod:`..audit`.
"""
