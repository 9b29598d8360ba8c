"""NanoDet-Plus computed from its raw state dict with torch.nn.functional, independently of the code under test."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from nanodet_reference import MEAN, STD, Weights, conv_norm, stages
from torch import Tensor

STRIDES = (8, 16, 32, 64)


def separable(weights: Weights, x: Tensor, name: str, stride: int = 1) -> Tensor:
    x = conv_norm(weights, x, f'{name}.depthwise', f'{name}.dwnorm', stride=stride, padding=2, groups=x.shape[1])
    return conv_norm(weights, x, f'{name}.pointwise', f'{name}.pwnorm')


def ghost(weights: Weights, x: Tensor, name: str, act: bool) -> Tensor:
    primary = conv_norm(weights, x, f'{name}.primary_conv.0', f'{name}.primary_conv.1', act=act)
    cheap = conv_norm(
        weights,
        primary,
        f'{name}.cheap_operation.0',
        f'{name}.cheap_operation.1',
        act=act,
        padding=1,
        groups=primary.shape[1],
    )
    return torch.cat((primary, cheap), dim=1)


def ghost_block(weights: Weights, first: Tensor, second: Tensor, name: str) -> Tensor:
    x = torch.cat((first, second), dim=1)
    name = f'{name}.blocks.0'
    shortcut = conv_norm(
        weights, x, f'{name}.shortcut.0', f'{name}.shortcut.1', act=False, padding=2, groups=x.shape[1]
    )
    shortcut = conv_norm(weights, shortcut, f'{name}.shortcut.2', f'{name}.shortcut.3', act=False)
    return ghost(weights, ghost(weights, x, f'{name}.ghost1', True), f'{name}.ghost2', False) + shortcut


def doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode='bilinear')


def raw_outputs(weights: Weights, x: Tensor) -> list[Tensor]:
    """Normalized images with sides in multiples of 32 -> logits ``(N, classes + 32, H_i, W_i)`` per level."""
    r8, r16, r32 = (
        conv_norm(weights, x, *(f'model.fpn.reduce_layers.{level}.{part}' for part in ('conv', 'bn')))
        for level, x in enumerate(stages(weights, x))
    )
    t16 = ghost_block(weights, doubled(r32), r16, 'model.fpn.top_down_blocks.0')
    p8 = ghost_block(weights, doubled(t16), r8, 'model.fpn.top_down_blocks.1')
    p16 = ghost_block(
        weights, separable(weights, p8, 'model.fpn.downsamples.0', 2), t16, 'model.fpn.bottom_up_blocks.0'
    )
    p32 = ghost_block(
        weights, separable(weights, p16, 'model.fpn.downsamples.1', 2), r32, 'model.fpn.bottom_up_blocks.1'
    )
    p64 = separable(weights, r32, 'model.fpn.extra_lvl_in_conv.0', 2) + separable(
        weights, p32, 'model.fpn.extra_lvl_out_conv.0', 2
    )
    outputs = []
    for level, x in enumerate((p8, p16, p32, p64)):
        for i in range(2):
            x = separable(weights, x, f'model.head.cls_convs.{level}.{i}')
        name = f'model.head.gfl_cls.{level}'
        outputs.append(F.conv2d(x, weights[f'{name}.weight'], weights[f'{name}.bias']))
    return outputs


def detect(weights: Weights, image: np.ndarray, size: int) -> tuple[np.ndarray, Tensor, Tensor]:
    """Boxes in the image's pixels and inside it, scores and labels: above 0.05, class-wise NMS at 0.6, 100 at most."""
    height, width = image.shape[:2]
    factors = np.array([size / width, size / height])
    warped = cv2.warpPerspective(image, np.diag([*factors, 1.0]), (size, size))
    x = torch.from_numpy(((warped - MEAN) / STD).transpose(2, 0, 1).astype(np.float32))[None]
    boxes, scores = [], []
    with torch.no_grad():
        for output, stride in zip(raw_outputs(weights, x), STRIDES, strict=True):
            _, _, rows, columns = output.shape
            scores.append(output[0, :-32].sigmoid().flatten(1).T)
            bins = output[0, -32:].reshape(4, 8, rows, columns).softmax(1)
            left, top, right, bottom = (bins * torch.arange(8.0)[None, :, None, None]).sum(1) * stride
            x0, y0 = torch.arange(columns)[None, :] * stride, torch.arange(rows)[:, None] * stride
            boxes.append(torch.stack((x0 - left, y0 - top, x0 + right, y0 + bottom), dim=-1).reshape(-1, 4))
    boxes, scores = torch.cat(boxes).clamp(0, size), torch.cat(scores)
    cells, labels = (scores > 0.05).nonzero(as_tuple=True)
    boxes, scores = boxes[cells], scores[cells, labels]
    keep = torchvision.ops.batched_nms(boxes, scores, labels, 0.6)[:100]
    corners = boxes[keep].numpy() / np.tile(factors, 2)
    return corners.clip(0, [width, height] * 2), scores[keep], labels[keep]
