"""Readers of data set formats, one file each: COCO, YOLO, Pascal VOC, LabelMe, ... The content of a folder selects one.

Each reader returns a :class:`.UserDataset`. :mod:`..audit` checks its annotations.
"""
