"""Fault-tolerant training: a kill, a full disk, a broken image, a NaN or infinite loss, a second machine.

:func:`..config.fault_tolerance.add_fault_tolerance` lays all of it over the config of a run, whatever config that is.
"""

from .atomic_backend import AtomicBackend
from .broken_images import BrokenImagesHook, LoadCompleteImage
from .checkpoint_hook import FaultTolerantCheckpointHook
from .dataset import FaultTolerantDataset
from .distributed import SharedLossHook
from .finite_loss_hook import FiniteLossHook
from .image_draws import ImageDrawsHook
from .interrupt_hook import InterruptHook
from .loop import ResumableEpochLoop
from .sampling import ResumableBatchSampler
from .state_hook import RunStateHook

__all__ = [
    'AtomicBackend', 'BrokenImagesHook', 'FaultTolerantCheckpointHook', 'FaultTolerantDataset', 'FiniteLossHook',
    'ImageDrawsHook', 'InterruptHook', 'LoadCompleteImage', 'ResumableBatchSampler', 'ResumableEpochLoop',
    'RunStateHook', 'SharedLossHook'
]
