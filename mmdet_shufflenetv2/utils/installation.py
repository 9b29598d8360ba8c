"""The package's version, and whether this machine can train or only runs exported detectors."""

from importlib.util import find_spec

__all__ = ['MISSING', 'TRAINING', '__version__']

__version__ = '0.2.0.dev0'

#: Packages needed for training that are not installed.
MISSING = [package for package in ('torch', 'mmengine') if find_spec(package) is None]

#: Whether this machine can train; if False, it only runs exported detectors.
TRAINING = not MISSING
