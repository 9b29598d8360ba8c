"""Parameters and multiply-adds of a detector.

Multiply-adds (MAdds; papers on light networks call them FLOPs) of convolutions and matrix products are counted with
PyTorch's own counter while the network runs. Norms, activations and post-processing are not counted, as in table 5 of
the ShuffleNet V2 paper.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import torch
from mmdet.models.detectors import BaseDetector
from mmdet.structures import DetDataSample
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ..config.load import load_config
from ..models.build import build_model
from ..utils.errors import UserError

__all__ = ['Complexity', 'count_multiply_adds', 'detector_complexity', 'detector_multiply_adds', 'markdown_table']


class Complexity(NamedTuple):
    """Parameters and multiply-adds of a detector on one image, as counts."""

    name: str
    parameters: int
    backbone_parameters: int
    multiply_adds: int
    backbone_multiply_adds: int


def count_multiply_adds(model: nn.Module, *args: Any, **kwargs: Any) -> int:
    """Multiply-adds of ``model(*args, **kwargs)``."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(*args, **kwargs)
    return counter.get_total_flops() // 2


def detector_complexity(config: str | os.PathLike[str], height: int = 800, width: int = 1333) -> Complexity:
    """Cost of a config's detector with random weights.

    Args:
        config: Config file of a detector.
        height, width: Size of the image in pixels; it is padded as in inference. A two-stage detector is counted with
            the maximum number of proposals of its RPN, by default 1000 in MMDetection.

    Raises:
        UserError: If the config is invalid or the image too small.
    """
    if min(height, width) < 32:
        raise UserError(f'shape={height} {width}: expected at least 32 pixels per side.')
    cfg = load_config(config)
    if 'rpn' in cfg.model.get('test_cfg', {}):
        cfg.model.test_cfg.rpn.nms.iou_threshold = 1.0  # keeps all random proposals
    torch.manual_seed(0)
    model: BaseDetector = build_model(cfg.model)
    batch = _one_image(model, height, width)
    return Complexity(
        name=os.path.splitext(os.path.basename(config))[0],
        parameters=_parameters(model),
        backbone_parameters=_parameters(model.backbone),
        multiply_adds=count_multiply_adds(model, **batch, mode='tensor'),
        backbone_multiply_adds=count_multiply_adds(model.backbone, batch['inputs']),
    )


def detector_multiply_adds(model: BaseDetector, height: int, width: int) -> int:
    """Multiply-adds of a detector in eval mode on one image of that size in pixels."""
    return count_multiply_adds(model, **_one_image(model, height, width), mode='tensor')


def _one_image(model: BaseDetector, height: int, width: int) -> dict[str, Any]:
    """The detector's input for an image of zeros, padded as in its config."""
    sample = DetDataSample(
        metainfo=dict(
            img_shape=(height, width), ori_shape=(height, width), scale_factor=(1.0, 1.0), batch_input_shape=None
        )
    )
    inputs = [torch.zeros(3, height, width, dtype=torch.uint8)]
    return model.data_preprocessor(dict(inputs=inputs, data_samples=[sample]))


def _parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def markdown_table(rows: list[Complexity]) -> str:
    """The rows as a Markdown table, in millions of parameters and billions of multiply-adds."""
    lines = [
        '| config | parameters | backbone parameters | multiply-adds | backbone multiply-adds |',
        '| --- ' * 5 + '|',
    ]
    lines += [
        f'| {row.name} | {row.parameters / 1e6:.2f}M | {row.backbone_parameters / 1e6:.2f}M | '
        f'{row.multiply_adds / 1e9:.1f}G | {row.backbone_multiply_adds / 1e9:.2f}G |'
        for row in rows
    ]
    return '\n'.join(lines)
