"""The ShuffleNet V2 paper as software: its four guidelines measured and checked, its variants, and its tables
reproduced.

The network itself is :mod:`..models.backbones`.
"""
