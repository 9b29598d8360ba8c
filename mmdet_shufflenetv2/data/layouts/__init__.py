"""The layouts that data sets come in, a file each: COCO, YOLO, Pascal VOC, LabelMe, ..., found by what is in a folder.

Each yields an :class:`.UserDataset`. Checks of the annotations themselves belong to :mod:`..audit`.
"""
