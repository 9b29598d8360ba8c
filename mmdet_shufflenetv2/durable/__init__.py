"""Fault-tolerant training: a kill, a full disk, a broken image, a NaN or infinite loss, a second machine.

:func:`make_durable` lays all of it over the config of a run, whatever config that is.
"""

from .install import make_durable

__all__ = ['make_durable']
