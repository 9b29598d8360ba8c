"""The ShuffleNet V2 paper as software: its four guidelines measured and checked here, its variants, and the way to
reproduce its tables.

The network itself is :mod:`..models.backbones`.
"""
