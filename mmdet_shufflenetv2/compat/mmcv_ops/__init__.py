"""The operators of ``mmcv._ext``, served by torchvision where it has them and by plain PyTorch elsewhere.

Each function in this folder has the name, the argument names and the habits of mmcv's compiled operator
(https://github.com/open-mmlab/mmcv/tree/v2.1.0/mmcv/ops/csrc/pytorch): results go into the tensors handed in, and only
the operators that select boxes return something. The Python side of mmcv calls them by keyword.

Tensors may be on the CPU or a GPU. A dtype that torchvision's kernel does not take (half precision on the CPU,
bfloat16 anywhere) is computed in float32 and rounded once, into the output tensor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from torch import Tensor

from ..private import bbox_overlaps_cpu
from . import carafe, deform, filters, focal, neighbors, nms, points, regions, roi, rotated, text

__all__ = ['SERVED', 'bbox_overlaps', 'unserved']


def bbox_overlaps(bboxes1: Tensor, bboxes2: Tensor, ious: Tensor, mode: int, aligned: bool, offset: int) -> None:
    """Overlap of upright boxes, by the PyTorch form that mmcv ships for the CPU.

    Args:
        bboxes1, bboxes2: ``(N, 4)`` and ``(M, 4)`` corners in pixels.
        ious: ``(N, M)``, or ``(N,)`` with ``aligned``; filled.
        mode: 0 intersection over union, 1 over the area of the first box.
        aligned: Compare the i-th box with the i-th only.
        offset: 0, or 1 where the last pixel counts as part of the box.
    """
    ious.copy_(bbox_overlaps_cpu(bboxes1, bboxes2, ('iou', 'iof')[mode], aligned, offset))


_MODULES = (nms, roi, focal, deform, carafe, filters, rotated, regions, points, neighbors, text)
#: Operator name -> function, as ``mmcv._ext`` offers them.
SERVED: dict[str, Callable[..., Any]] = {
    'bbox_overlaps': bbox_overlaps, **{name: getattr(module, name) for module in _MODULES for name in module.__all__}}


def unserved(name: str) -> Callable[..., NoReturn]:
    """A stand-in for an operator that is not served: it can be imported, and says what to do when it is called.

    Raises:
        AttributeError: For a dunder name, so that Python's own look-ups on the module work.
    """
    if name.startswith('__'):
        raise AttributeError(f"module 'mmcv._ext' has no attribute {name!r}")

    def op(*args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError(
            f'mmcv operator {name} is not served here. Choose a model without it, or install compiled '
            f'operators: pip uninstall mmcv-lite, then MMCV_WITH_OPS=1 pip install --no-build-isolation mmcv==2.1.0 '
            f'(needs a C++ compiler and about half an hour).')

    return op
