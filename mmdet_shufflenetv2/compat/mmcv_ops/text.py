"""Text instances grown from their kernels, pixel by pixel. mmcv's compiled operators are also for the CPU only."""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor

__all__ = ['contour_expand', 'pixel_group']


def contour_expand(
    kernel_mask: Tensor, internal_kernel_label: Tensor, min_kernel_area: int, kernel_num: int
) -> list[list[int]]:
    """Expand text kernels (Wang et al., PSENet, CVPR 2019, section 3.2).

    In the paper, kernels grow from each mask to the next larger one. In mmcv's operator, and here, they grow to the
    largest mask in one step.

    Args:
        kernel_mask: ``(kernels, H, W)`` uint8 masks, the largest first.
        internal_kernel_label: ``(H, W)`` int32 labels of the smallest kernels, 0 for none.
        min_kernel_area: Kernels with fewer pixels are dropped.
        kernel_num: Largest label in mmcv, not used.

    Returns:
        H lists of W labels.
    """
    height, width = internal_kernel_label.shape
    kernels = internal_kernel_label.flatten().long()
    area = torch.bincount(kernels, minlength=1)
    labels: list[int] = kernels.masked_fill(area[kernels] < min_kernel_area, 0).tolist()
    mask = kernel_mask[0].flatten().bool().tolist() if len(kernel_mask) > 1 else [False] * len(labels)
    queue = deque(pixel for pixel, label in enumerate(labels) if label)
    while queue:
        pixel = queue.popleft()
        # If two kernels reach a pixel, this order, which is mmcv's, decides.
        for neighbor in _above_and_below(pixel, height, width) + _left_and_right(pixel, width):
            if mask[neighbor] and not labels[neighbor]:
                labels[neighbor] = labels[pixel]
                queue.append(neighbor)
    return [labels[start : start + width] for start in range(0, height * width, width)]


def pixel_group(
    score: Tensor,
    mask: Tensor,
    embedding: Tensor,
    kernel_label: Tensor,
    kernel_contour: Tensor,
    kernel_region_num: int,
    distance_threshold: float,
) -> list[list[float]]:
    """Aggregate the pixels of text instances (Wang et al., PAN, ICCV 2019, section 3.4).

    Args:
        score: ``(H, W)`` text scores.
        mask: ``(H, W)`` bool mask of the text.
        embedding: ``(H, W, D)``.
        kernel_label: ``(H, W)`` int32 labels of the kernels below ``kernel_region_num``, 0 for none.
        kernel_contour: ``(H, W)`` uint8 mask of the contours of the kernels, from which they grow.
        kernel_region_num: Number of labels, including 0.
        distance_threshold: A pixel can join a kernel if its embedding is closer than this to the kernel's mean.

    Returns:
        For each label its mean score, its number of pixels, then x and y of each pixel.

    Raises:
        ValueError: If a label is not below ``kernel_region_num``.
    """
    height, width = score.shape
    labels, vectors = kernel_label.flatten().long(), embedding.flatten(0, 1)
    if labels.numel() and int(labels.max()) >= kernel_region_num:
        raise ValueError(
            f'kernel_label contains the label {int(labels.max())}, expected labels below '
            f'kernel_region_num={kernel_region_num}.'
        )
    starts = ((labels > 0) & kernel_contour.flatten().bool()).nonzero().flatten().tolist()
    # For each kernel, one byte per pixel: whether it is close to the kernel's mean.
    is_close = [b''] + [
        bytes(
            (
                mask.flatten()
                & ((vectors - vectors[labels == label].mean(dim=0)).square().sum(dim=1) < distance_threshold**2)
            )
            .to(torch.uint8)
            .tolist()
        )
        for label in range(1, kernel_region_num)
    ]
    grown, queue = labels.tolist(), deque(starts)
    while queue:
        pixel = queue.popleft()
        for neighbor in _left_and_right(pixel, width) + _above_and_below(pixel, height, width):
            if grown[neighbor] <= 0 and is_close[grown[pixel]][neighbor]:
                grown[neighbor] = grown[pixel]
                queue.append(neighbor)
    labels = torch.tensor(grown, dtype=torch.long)
    groups = [[0.0, 0.0]]
    for label in range(1, kernel_region_num):
        pixels = (labels == label).nonzero().flatten()
        mean = score.flatten()[pixels].mean().item() if len(pixels) else 0.0
        x_and_y = torch.stack((pixels % width, pixels // width), dim=1).flatten().float()
        groups.append([mean, float(len(pixels)), *x_and_y.tolist()])
    return groups


def _left_and_right(pixel: int, width: int) -> list[int]:
    x = pixel % width
    return [pixel + step for step in (-1, 1) if 0 <= x + step < width]


def _above_and_below(pixel: int, height: int, width: int) -> list[int]:
    return [neighbor for neighbor in (pixel - width, pixel + width) if 0 <= neighbor < height * width]
