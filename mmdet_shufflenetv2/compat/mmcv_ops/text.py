"""Text lines grown from their kernels, pixel by pixel. These operators are for the CPU, compiled or not."""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor

__all__ = ['contour_expand', 'pixel_group']


def contour_expand(kernel_mask: Tensor, internal_kernel_label: Tensor, min_kernel_area: int,
                   kernel_num: int) -> list[list[int]]:
    """Expansion of text kernels (Wang et al., PSENet, CVPR 2019, section 3.2).

    In the paper kernels grow from each mask to the next larger one. mmcv's operator reads the largest in each step,
    so that they grow to it at once, and so do they here.

    Args:
        kernel_mask: ``(kernels, H, W)`` uint8 masks, the largest first.
        internal_kernel_label: ``(H, W)`` int32 labels of the smallest kernels, 0 for none.
        min_kernel_area: Kernels of fewer pixels are left out.
        kernel_num: Greatest label in mmcv; not used.

    Returns:
        H lists of W labels.
    """
    height, width = internal_kernel_label.shape
    labels = internal_kernel_label.flatten().long()
    area = torch.bincount(labels, minlength=1)
    labels = labels.masked_fill(area[labels] < min_kernel_area, 0).tolist()
    mask = kernel_mask[0].flatten().bool().tolist() if len(kernel_mask) > 1 else [False] * len(labels)
    waiting = deque(place for place, label in enumerate(labels) if label)
    while waiting:
        place = waiting.popleft()
        # The order, which is mmcv's, decides which of two kernels takes a pixel.
        for near in _above_and_below(place, height, width) + _beside(place, width):
            if mask[near] and not labels[near]:
                labels[near] = labels[place]
                waiting.append(near)
    return [labels[start:start + width] for start in range(0, height * width, width)]


def pixel_group(score: Tensor, mask: Tensor, embedding: Tensor, kernel_label: Tensor, kernel_contour: Tensor,
                kernel_region_num: int, distance_threshold: float) -> list[list[float]]:
    """Pixel aggregation (Wang et al., PAN, ICCV 2019, section 3.4).

    Args:
        score: ``(H, W)`` text scores.
        mask: ``(H, W)`` bool, where there is text.
        embedding: ``(H, W, D)``.
        kernel_label: ``(H, W)`` int32 labels of the kernels below ``kernel_region_num``, 0 for none.
        kernel_contour: ``(H, W)`` uint8, the outlines of the kernels, from which they grow.
        kernel_region_num: Number of labels, with 0.
        distance_threshold: A pixel joins a kernel whose mean embedding is nearer than this.

    Returns:
        For each label its mean score, its number of pixels, then x and y of each.

    Raises:
        ValueError: For a label that is not below ``kernel_region_num``.
    """
    height, width = score.shape
    labels, vectors = kernel_label.flatten().long(), embedding.flatten(0, 1)
    if labels.numel() and int(labels.max()) >= kernel_region_num:
        raise ValueError(f'kernel_label has the label {int(labels.max())}, expected fewer than '
                         f'kernel_region_num={kernel_region_num}.')
    starts = ((labels > 0) & kernel_contour.flatten().bool()).nonzero().flatten().tolist()
    # Which pixels are near the mean of each kernel, a byte each.
    joins = [b''] + [
        bytes((mask.flatten() & ((vectors - vectors[labels == label].mean(dim=0)).square().sum(dim=1)
                                 < distance_threshold**2)).to(torch.uint8).tolist())
        for label in range(1, kernel_region_num)]
    grown, waiting = labels.tolist(), deque(starts)
    while waiting:
        place = waiting.popleft()
        for near in _beside(place, width) + _above_and_below(place, height, width):
            if grown[near] <= 0 and joins[grown[place]][near]:
                grown[near] = grown[place]
                waiting.append(near)
    labels = torch.tensor(grown, dtype=torch.long)
    groups = [[0.0, 0.0]]
    for label in range(1, kernel_region_num):
        places = (labels == label).nonzero().flatten()
        mean = score.flatten()[places].mean().item() if len(places) else 0.0
        x_and_y = torch.stack((places % width, places // width), dim=1).flatten().float()
        groups.append([mean, float(len(places)), *x_and_y.tolist()])
    return groups


def _beside(place: int, width: int) -> list[int]:
    x = place % width
    return [place + step for step in (-1, 1) if 0 <= x + step < width]


def _above_and_below(place: int, height: int, width: int) -> list[int]:
    return [near for near in (place - width, place + width) if 0 <= near < height * width]
