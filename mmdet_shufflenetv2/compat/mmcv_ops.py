"""The operators of ``mmcv._ext``, served by torchvision and plain PyTorch.

Each function here has the name, the argument names and the habits of mmcv's compiled operator
(https://github.com/open-mmlab/mmcv/tree/v2.1.0/mmcv/ops/csrc/pytorch): results go into the tensors handed in, and
only ``nms`` and ``softnms`` return something. The Python side of mmcv calls them by keyword.

Tensors may be on the CPU or a GPU. A dtype that torchvision's kernel does not take (half precision on the CPU,
bfloat16 anywhere) is computed in float32 and rounded once, into the output tensor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import torch
import torchvision  # noqa: F401  (registers torch.ops.torchvision)
from torch import Tensor

__all__ = ['SERVED', 'unserved']


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Greedy non-maximum suppression.

    Args:
        boxes: ``(N, 4)`` corners x1, y1, x2, y2 in pixels.
        scores: ``(N,)``.
        iou_threshold: A box that overlaps a better one by more than this is dropped.
        offset: 0, or 1 where the last pixel counts as part of the box (width is x2 - x1 + 1).

    Returns:
        ``(K,)`` int64 indices of the kept boxes, best score first.
    """
    if boxes.numel() == 0:
        return torch.empty(0, dtype=torch.long, device=boxes.device)
    boxes, scores = _computable(boxes), _computable(scores)
    if offset:
        # With the far corner moved out, torchvision's width x2 - x1 is mmcv's x2 - x1 + offset, overlaps included.
        boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    return torch.ops.torchvision.nms(boxes, scores.to(boxes.dtype), float(iou_threshold))


#: mmcv's numbers for the ways in which soft-NMS lowers a score.
_NAIVE, _LINEAR, _GAUSSIAN = 0, 1, 2


def softnms(boxes: Tensor, scores: Tensor, dets: Tensor, iou_threshold: float, sigma: float, min_score: float,
            method: int, offset: int) -> Tensor:
    """Soft-NMS (Bodla et al., ICCV 2017): neighbours of a kept box lose score instead of being dropped.

    Args:
        boxes: ``(N, 4)`` corners in pixels, on the CPU (mmcv moves them there).
        scores: ``(N,)``.
        dets: ``(N, 5)``, filled with the kept boxes and their lowered scores; rows past the kept ones stay as they are.
        iou_threshold: Overlap from which the naive and the linear method lower a score.
        sigma: Width of the gaussian method.
        min_score: Boxes below it are dropped.
        method: 0 naive, 1 linear, 2 gaussian.
        offset: 0 or 1, as in :func:`nms`.

    Returns:
        ``(K,)`` int64 indices of the kept boxes, in the order in which they were picked.
    """
    rows = torch.cat((boxes, scores[:, None]), dim=1).to(dets.dtype).clone()
    areas = (rows[:, 2] - rows[:, 0] + offset) * (rows[:, 3] - rows[:, 1] + offset)
    indices = torch.arange(len(rows))
    count = len(rows)
    done = 0
    while done < count:
        # Which of two equal scores comes first depends on where earlier swaps have put them, so every swap of the
        # compiled operator is repeated here.
        best = done + int(rows[done:count, 4].argmax())
        for column in (rows, areas, indices):
            column[[done, best]] = column[[best, done]]
        picked, rest = rows[done], slice(done + 1, count)
        corner_min = torch.maximum(rows[rest, :2], picked[:2])
        corner_max = torch.minimum(rows[rest, 2:4], picked[2:4])
        intersection = (corner_max - corner_min + offset).clamp_(min=0).prod(dim=1)
        iou = intersection / (areas[done] + areas[rest] - intersection)
        rows[rest, 4] *= _soft_weight(iou, iou_threshold, sigma, method)
        alive = rows[rest, 4] >= min_score
        order = done + 1 + _order_after_removal(alive)
        for column in (rows, areas, indices):
            column[done + 1:done + 1 + len(order)] = column[order]
        done, count = done + 1, done + 1 + len(order)
    dets[:count] = rows[:count]
    return indices[:count]


def _soft_weight(iou: Tensor, iou_threshold: float, sigma: float, method: int) -> Tensor:
    if method == _GAUSSIAN:
        return torch.exp(-(iou * iou) / sigma)
    lowered = 1 - iou if method == _LINEAR else torch.zeros_like(iou)
    return torch.where(iou >= iou_threshold, lowered, torch.ones_like(iou))


def _order_after_removal(alive: Tensor) -> Tensor:
    """Indices of the living once each dead one was overwritten, front to back, with the then last of the list."""
    survivors = int(alive.sum())
    order = torch.arange(survivors)
    movers = survivors + alive[survivors:].nonzero().flatten().flip(0)
    order[~alive[:survivors]] = movers
    return order


_MAX_POOL, _AVG_POOL = 0, 1


def roi_align_forward(input: Tensor, rois: Tensor, output: Tensor, argmax_y: Tensor, argmax_x: Tensor,
                      aligned_height: int, aligned_width: int, spatial_scale: float, sampling_ratio: int,
                      pool_mode: int, aligned: bool) -> None:
    """RoIAlign (He et al., Mask R-CNN, ICCV 2017, section 3) with average pooling of the samples.

    Args:
        input: ``(N, C, H, W)`` features.
        rois: ``(K, 5)``: image index, x1, y1, x2, y2 in pixels of the image.
        output: ``(K, C, aligned_height, aligned_width)``, filled.
        argmax_y, argmax_x: Used by max pooling only.
        spatial_scale: Feature cells a pixel, ``1 / stride``.
        sampling_ratio: Samples a bin and axis; 0 for as many as there are cells.
        pool_mode: 0 maximum, 1 average.
        aligned: Shift by half a cell (Detectron2's correction).
    """
    if pool_mode == _MAX_POOL:
        unserved('roi_align_forward with max pooling')()
    pooled = torch.ops.torchvision.roi_align(
        _computable(input), rois.to(_computable(input).dtype), spatial_scale, aligned_height, aligned_width,
        sampling_ratio, aligned)
    output.copy_(pooled)


def roi_align_backward(grad_output: Tensor, rois: Tensor, argmax_y: Tensor, argmax_x: Tensor, grad_input: Tensor,
                       aligned_height: int, aligned_width: int, spatial_scale: float, sampling_ratio: int,
                       pool_mode: int, aligned: bool) -> None:
    """The gradient of :func:`roi_align_forward`, added to ``grad_input`` ``(N, C, H, W)``."""
    if pool_mode == _MAX_POOL:
        unserved('roi_align_backward with max pooling')()
    grad = _computable(grad_output)
    grad_input += torch.ops.torchvision._roi_align_backward(
        grad, rois.to(grad.dtype), spatial_scale, aligned_height, aligned_width, *grad_input.shape, sampling_ratio,
        aligned).to(grad_input.dtype)


def sigmoid_focal_loss_forward(input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float,
                               alpha: float) -> None:
    """Focal loss on sigmoid logits (Lin et al., ICCV 2017, equation 5), one value a logit.

    Args:
        input: ``(N, C)`` logits.
        target: ``(N,)`` int64 class of each row; C means background.
        weight: ``(C,)`` factor a class, or empty.
        output: ``(N, C)``, filled.
        gamma: Focusing exponent.
        alpha: Share of the positive class.
    """
    logits, positive = _focal_parts(input, target)
    p = logits.sigmoid()
    # The smallest normal number keeps log() finite, as in the compiled kernel.
    tiny = torch.finfo(logits.dtype).tiny
    loss = torch.where(positive, -alpha * (1 - p)**gamma * p.clamp(min=tiny).log(),
                       -(1 - alpha) * p**gamma * (1 - p).clamp(min=tiny).log())
    output.copy_(_times_class_weight(loss, target, weight))


def sigmoid_focal_loss_backward(input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float,
                                alpha: float) -> None:
    """d loss / d logit of :func:`sigmoid_focal_loss_forward`, written into ``grad_input`` ``(N, C)``."""
    logits, positive = _focal_parts(input, target)
    p = logits.sigmoid()
    tiny = torch.finfo(logits.dtype).tiny
    grad = torch.where(
        positive,
        -alpha * (1 - p)**gamma * (1 - p - gamma * p * p.clamp(min=tiny).log()),
        -(1 - alpha) * p**gamma * (gamma * (1 - p) * (1 - p).clamp(min=tiny).log() - p))
    grad_input.copy_(_times_class_weight(grad, target, weight))


def _focal_parts(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    classes = torch.arange(input.size(1), device=input.device)
    return _computable(input), target[:, None] == classes


def _times_class_weight(values: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    if weight.numel() == 0:
        return values
    # Background rows (target C) have no entry in the table and keep weight 1.
    table = torch.cat((weight.to(values.dtype), weight.new_ones(1, dtype=values.dtype)))
    return values * table[target.clamp(max=weight.numel())][:, None]


def _computable(tensor: Tensor) -> Tensor:
    """The tensor in a dtype that torchvision's kernels take on its device."""
    taken = (torch.float32, torch.float64) + ((torch.float16, ) if tensor.is_cuda else ())
    return tensor if tensor.dtype in taken else tensor.float()


#: Operator name -> function, as ``mmcv._ext`` offers them.
SERVED: dict[str, Callable[..., Any]] = {
    op.__name__: op
    for op in (nms, softnms, roi_align_forward, roi_align_backward, sigmoid_focal_loss_forward,
               sigmoid_focal_loss_backward)
}


def unserved(name: str) -> Callable[..., NoReturn]:
    """A stand-in for an operator that is not served: it can be imported, and says what to do when it is called.

    Raises:
        AttributeError: For a dunder name, so that Python's own look-ups on the module work.
    """
    if name.startswith('__'):
        raise AttributeError(f"module 'mmcv._ext' has no attribute {name!r}")

    def op(*args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError(
            f'mmcv operator {name} has no counterpart in torchvision. Choose a model without it, or install compiled '
            f'operators: pip uninstall mmcv-lite, then MMCV_WITH_OPS=1 pip install --no-build-isolation mmcv==2.1.0 '
            f'(needs a C++ compiler and about half an hour).')

    return op
