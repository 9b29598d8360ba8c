"""Fault-tolerant training: a kill, a full disk, a broken image, a NaN or infinite loss, a second machine.

:func:`..config.fault_tolerance.add_fault_tolerance` lays all of it over the config of a run, whatever config that is.
"""

from .broken_images import BrokenImagesHook, FaultTolerantDataset, LoadCompleteImage
from .checkpoint_hook import AtomicBackend, FaultTolerantCheckpointHook
from .distributed import SharedLossHook
from .epoch import ResumableBatchSampler, ResumableEpochLoop
from .finite_loss_hook import FiniteLossHook
from .image_draws import ImageDrawsHook
from .interrupt_hook import InterruptHook
from .state_hook import RunStateHook

__all__ = [
    'AtomicBackend', 'BrokenImagesHook', 'FaultTolerantCheckpointHook', 'FaultTolerantDataset', 'FiniteLossHook',
    'ImageDrawsHook', 'InterruptHook', 'LoadCompleteImage', 'ResumableBatchSampler', 'ResumableEpochLoop',
    'RunStateHook', 'SharedLossHook'
]
