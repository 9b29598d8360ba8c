"""What torchvision's kernels take, and checks that run before them."""

from __future__ import annotations

import torch
import torchvision  # noqa: F401  (registers torch.ops.torchvision)
from torch import Tensor

__all__ = ['check_columns', 'check_inputs', 'check_regions', 'check_threshold', 'computable', 'usable_regions']


def computable(tensor: Tensor) -> Tensor:
    """The tensor in a dtype that torchvision's kernels take on its device: float32 where they do not take its own."""
    taken = (torch.float32, torch.float64) + ((torch.float16, ) if tensor.is_cuda else ())
    return tensor if tensor.dtype in taken else tensor.float()


def check_inputs(**tensors: Tensor) -> None:
    """All on one device and of floating point, or a ValueError that names the argument."""
    first, *_ = tensors
    for name, tensor in tensors.items():
        if tensor.device != tensors[first].device:
            raise ValueError(f'{name} is on {tensor.device}, {first} on {tensors[first].device}: move them together.')
        if not tensor.is_floating_point():
            raise ValueError(f'{name} is {tensor.dtype}, expected a floating-point tensor: {name}.float().')


def check_columns(columns: int, **tensors: Tensor) -> None:
    """Each ``(N, columns)``, or a ValueError that names the argument."""
    for name, tensor in tensors.items():
        if tensor.dim() != 2 or tensor.size(1) != columns:
            raise ValueError(f'{name} has the shape {tuple(tensor.shape)}, expected (N, {columns}).')


def check_threshold(iou_threshold: float) -> None:
    """Within 0 and 1, or a ValueError."""
    if not 0 <= iou_threshold <= 1:
        raise ValueError(f'iou_threshold={iou_threshold} is out of range, expected 0 to 1.')


def _unusable(rois: Tensor, images: int) -> Tensor:
    """``(K,)``: which rows are not finite, or name none of so many images in column 0."""
    return ~(rois.isfinite().all(dim=1) & (rois[:, 0] >= 0) & (rois[:, 0] < images))


def check_regions(rois: Tensor, images: int) -> None:
    """All of them usable, or a ValueError that shows the first that is not: kernels make addresses of such numbers.

    It reads values, for which the CPU waits for a GPU.
    """
    bad = _unusable(rois, images).nonzero()
    if len(bad):
        k = int(bad[0])
        raise ValueError(
            f'rois[{k}] is {[round(value, 2) for value in rois[k].tolist()]}: expected finite numbers, the first the '
            f'index of one of the {images} images. Unusable rows: {len(bad)} of {len(rois)}.')


def usable_regions(rois: Tensor, images: int) -> tuple[Tensor, Tensor | None]:
    """The RoIs, checked; on a GPU unchecked, with zeros in the rows that no kernel may see, and which they are."""
    if not rois.is_cuda:
        check_regions(rois, images)
        return rois, None
    unusable = _unusable(rois, images)
    return rois.masked_fill(unusable[:, None], 0), unusable
