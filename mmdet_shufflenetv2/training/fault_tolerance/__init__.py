"""Fault-tolerant training: killed processes, full disks, broken images, NaN or infinite losses, several processes.

:func:`..config.fault_tolerance.add_fault_tolerance` adds it to the config of any run.
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
    'AtomicBackend',
    'BrokenImagesHook',
    'FaultTolerantCheckpointHook',
    'FaultTolerantDataset',
    'FiniteLossHook',
    'ImageDrawsHook',
    'InterruptHook',
    'LoadCompleteImage',
    'ResumableBatchSampler',
    'ResumableEpochLoop',
    'RunStateHook',
    'SharedLossHook',
]
