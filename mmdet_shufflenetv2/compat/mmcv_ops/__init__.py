"""The operators of ``mmcv._ext``, implemented with torchvision's operators or in plain PyTorch.

Each function in this folder has the name, the argument names and the behavior of mmcv's compiled operator
(https://github.com/open-mmlab/mmcv/tree/v2.1.0/mmcv/ops/csrc/pytorch): it fills output tensors, and only operators
that select boxes return something. The Python side of mmcv calls them with keyword arguments.

Tensors may be on the CPU or a GPU. A dtype that torchvision's kernel does not support (half precision on the CPU,
bfloat16 anywhere) is computed in float32 and rounded once, in the output tensor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from torch import Tensor

from ..private import bbox_overlaps_cpu
from . import carafe, deform, filters, focal, neighbors, nms, points, regions, roi, rotated, text

__all__ = ['SERVED', 'bbox_overlaps', 'unsupported_operator']


def bbox_overlaps(bboxes1: Tensor, bboxes2: Tensor, ious: Tensor, mode: int, aligned: bool, offset: int) -> None:
    """Compute the overlap of axis-aligned boxes with mmcv's PyTorch implementation.

    Args:
        bboxes1, bboxes2: ``(N, 4)`` and ``(M, 4)`` corners in pixels.
        ious: ``(N, M)``, or ``(N,)`` with ``aligned``; filled.
        mode: 0 intersection over union, 1 intersection over the area of the first box.
        aligned: Only compare the i-th box with the i-th box.
        offset: 0, or 1 if the last pixel is part of the box.
    """
    ious.copy_(bbox_overlaps_cpu(bboxes1, bboxes2, ('iou', 'iof')[mode], aligned, offset))


_MODULES = (nms, roi, focal, deform, carafe, filters, rotated, regions, points, neighbors, text)
#: Operator name -> function, as in ``mmcv._ext``.
SERVED: dict[str, Callable[..., Any]] = {
    'bbox_overlaps': bbox_overlaps,
    **{name: getattr(module, name) for module in _MODULES for name in module.__all__},
}


def unsupported_operator(name: str) -> Callable[..., NoReturn]:
    """Return a placeholder for an unsupported operator, which raises an error only when it is called.

    Raises:
        AttributeError: For a dunder name, so that Python's own attribute checks on the module work.
    """
    if name.startswith('__'):
        raise AttributeError(f"module 'mmcv._ext' has no attribute {name!r}")

    def op(*args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError(
            f'The mmcv operator {name} is not supported without compiled mmcv. Use a model without it, or install '
            f'compiled mmcv: pip uninstall mmcv-lite, then MMCV_WITH_OPS=1 pip install --no-build-isolation '
            f'mmcv==2.1.0 (needs a C++ compiler and about half an hour).'
        )

    return op
