"""Fault-tolerant training: a kill, a full disk, a broken image, a NaN or infinite loss, a second machine.

:func:`..config.fault_tolerance.make_durable` lays all of it over the config of a run, whatever config that is.
"""

from .atomic_backend import AtomicBackend
from .broken_images import BrokenImagesHook, LoadWholeImage
from .checkpoint_hook import DurableCheckpointHook
from .dataset import DurableDataset
from .distributed import SharedLossHook
from .finite_loss_hook import FiniteLossHook
from .image_draws import ImageDrawsHook
from .interrupt_hook import InterruptHook
from .loop import ResumableEpochLoop
from .sampling import ResumableBatchSampler
from .state_hook import RunStateHook

__all__ = [
    'AtomicBackend', 'BrokenImagesHook', 'DurableCheckpointHook', 'DurableDataset', 'FiniteLossHook', 'ImageDrawsHook',
    'InterruptHook', 'LoadWholeImage', 'ResumableBatchSampler', 'ResumableEpochLoop', 'RunStateHook', 'SharedLossHook'
]
