"""Input checks and conversions for torchvision's kernels."""

from __future__ import annotations

import torch
import torchvision  # noqa: F401  (registers torch.ops.torchvision)
from torch import Tensor

__all__ = ['check_columns', 'check_inputs', 'check_rois', 'check_threshold', 'to_kernel_dtype', 'valid_rois']


def to_kernel_dtype(tensor: Tensor) -> Tensor:
    """Convert a tensor to float32 if torchvision's kernels do not support its dtype on its device."""
    supported = (torch.float32, torch.float64) + ((torch.float16,) if tensor.is_cuda else ())
    return tensor if tensor.dtype in supported else tensor.float()


def check_inputs(**tensors: Tensor) -> None:
    """Raise a ValueError unless all tensors are floating-point and on one device."""
    first, *_ = tensors
    for name, tensor in tensors.items():
        if tensor.device != tensors[first].device:
            raise ValueError(
                f'{name} is on {tensor.device}, {first} on {tensors[first].device}. Move them to one device.'
            )
        if not tensor.is_floating_point():
            raise ValueError(f'{name} is {tensor.dtype}, expected a floating-point tensor. Use {name}.float().')


def check_columns(columns: int, **tensors: Tensor) -> None:
    """Raise a ValueError unless each tensor has the shape ``(N, columns)``."""
    for name, tensor in tensors.items():
        if tensor.dim() != 2 or tensor.size(1) != columns:
            raise ValueError(f'{name} has shape {tuple(tensor.shape)}, expected (N, {columns}).')


def check_threshold(iou_threshold: float) -> None:
    """Raise a ValueError unless the threshold is from 0 to 1."""
    if not 0 <= iou_threshold <= 1:
        raise ValueError(f'iou_threshold={iou_threshold} is out of range: expected 0 to 1.')


def _invalid_rois(rois: Tensor, images: int) -> Tensor:
    """``(K,)`` mask of the rows that are not finite, or whose image index in column 0 is out of range."""
    return ~(rois.isfinite().all(dim=1) & (rois[:, 0] >= 0) & (rois[:, 0] < images))


def check_rois(rois: Tensor, images: int) -> None:
    """Raise a ValueError if a row is invalid, because kernels compute addresses from these numbers.

    This synchronizes with the GPU.
    """
    invalid = _invalid_rois(rois, images).nonzero()
    if len(invalid):
        k = int(invalid[0])
        raise ValueError(
            f'rois[{k}] is {[round(value, 2) for value in rois[k].tolist()]}: expected finite numbers and an image '
            f'index from 0 to {images - 1} in column 0. Invalid rows: {len(invalid)} of {len(rois)}.'
        )


def valid_rois(rois: Tensor, images: int) -> tuple[Tensor, Tensor | None]:
    """Check RoIs. On a GPU, where a check would synchronize, return them with invalid rows set to 0, and their mask."""
    if not rois.is_cuda:
        check_rois(rois, images)
        return rois, None
    invalid = _invalid_rois(rois, images)
    return rois.masked_fill(invalid[:, None], 0), invalid
