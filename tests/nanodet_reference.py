"""NanoDet-m computed from its raw state dict with torch.nn.functional, independently of the code under test."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor

Weights = dict[str, Tensor]

STRIDES = (8, 16, 32)
MEAN = np.array([103.53, 116.28, 123.675], np.float32)
STD = np.array([57.375, 57.12, 58.395], np.float32)


def conv_norm(weights: Weights, x: Tensor, conv: str, norm: str, act: bool = True, **conv_args: int) -> Tensor:
    x = F.conv2d(x, weights[f'{conv}.weight'], **conv_args)
    x = F.batch_norm(x, *(weights[f'{norm}.{name}'] for name in ('running_mean', 'running_var', 'weight', 'bias')))
    return F.leaky_relu(x, 0.1) if act else x


def unit(weights: Weights, x: Tensor, name: str, stride: int) -> Tensor:
    if stride == 2:
        passed = conv_norm(
            weights, x, f'{name}.branch1.0', f'{name}.branch1.1', act=False, stride=2, padding=1, groups=x.shape[1]
        )
        passed = conv_norm(weights, passed, f'{name}.branch1.2', f'{name}.branch1.3')
    else:
        passed, x = x[:, : x.shape[1] // 2], x[:, x.shape[1] // 2 :]
    x = conv_norm(weights, x, f'{name}.branch2.0', f'{name}.branch2.1')
    x = conv_norm(
        weights, x, f'{name}.branch2.3', f'{name}.branch2.4', act=False, stride=stride, padding=1, groups=x.shape[1]
    )
    x = conv_norm(weights, x, f'{name}.branch2.5', f'{name}.branch2.6')
    # The shuffle: channels of both halves in turn.
    return torch.stack((passed, x), dim=2).flatten(1, 2)


def stages(weights: Weights, x: Tensor) -> list[Tensor]:
    """Normalized images ``(N, 3, H, W)`` -> features with strides 8, 16 and 32, as in every NanoDet."""
    x = conv_norm(weights, x, 'model.backbone.conv1.0', 'model.backbone.conv1.1', stride=2, padding=1)
    x = F.max_pool2d(x, 3, 2, 1)
    features = []
    for stage, depth in ((2, 4), (3, 8), (4, 4)):
        for i in range(depth):
            x = unit(weights, x, f'model.backbone.stage{stage}.{i}', stride=1 if i else 2)
        features.append(x)
    return features


def raw_outputs(weights: Weights, x: Tensor) -> list[Tensor]:
    """Normalized images ``(N, 3, H, W)`` -> class and distance logits ``(N, classes + 32, H_i, W_i)`` per level."""
    fine, middle, coarse = (
        F.conv2d(x, *(weights[f'model.fpn.lateral_convs.{level}.conv.{name}'] for name in ('weight', 'bias')))
        for level, x in enumerate(stages(weights, x))
    )
    middle = middle + F.interpolate(coarse, scale_factor=2, mode='bilinear')
    fine = fine + F.interpolate(middle, scale_factor=2, mode='bilinear')
    middle = middle + F.interpolate(fine, scale_factor=0.5, mode='bilinear')
    coarse = coarse + F.interpolate(middle, scale_factor=0.5, mode='bilinear')
    outputs = []
    for level, x in enumerate((fine, middle, coarse)):
        for i in range(2):
            name = f'model.head.cls_convs.{level}.{i}'
            x = conv_norm(weights, x, f'{name}.depthwise', f'{name}.dwnorm', padding=1, groups=96)
            x = conv_norm(weights, x, f'{name}.pointwise', f'{name}.pwnorm')
        name = f'model.head.gfl_cls.{level}'
        outputs.append(F.conv2d(x, weights[f'{name}.weight'], weights[f'{name}.bias']))
    return outputs


def cell_boxes(distance_logits: Tensor, stride: int) -> Tensor:
    """``(32, H, W)`` -> ``(H * W, 4)`` boxes in pixels, row by row."""
    _, height, width = distance_logits.shape
    distances = torch.einsum('sbhw,b->hws', distance_logits.reshape(4, 8, height, width).softmax(1), torch.arange(8.0))
    x, y = (torch.arange(width) + 0.5)[None, :], (torch.arange(height) + 0.5)[:, None]
    left, top, right, bottom = distances.unbind(-1)
    return stride * torch.stack((x - left, y - top, x + right, y + bottom), dim=-1).reshape(-1, 4)


def letterbox(image: np.ndarray, size: int) -> tuple[Tensor, np.ndarray]:
    """BGR image -> ``(1, 3, size, size)``, and the 3x3 matrix from the image's pixels to its own."""
    height, width = image.shape[:2]
    ratio = min(size / width, size / height)
    w, h = int(ratio * width), int(ratio * height)
    left, top = (size - w) // 2, (size - h) // 2
    canvas = np.zeros((size, size, 3), np.float32)
    canvas[top : top + h, left : left + w] = (cv2.resize(image, (w, h)) - MEAN) / STD
    matrix = np.array([[w / width, 0, left], [0, h / height, top], [0, 0, 1]])
    return torch.from_numpy(canvas.transpose(2, 0, 1).copy())[None], matrix


def detect(weights: Weights, image: np.ndarray, size: int) -> tuple[np.ndarray, Tensor, Tensor]:
    """Boxes in the image's pixels and inside it, scores and labels: above 0.05, class-wise NMS at 0.6, 100 at most."""
    x, matrix = letterbox(image, size)
    boxes, scores = [], []
    with torch.no_grad():
        for output, stride in zip(raw_outputs(weights, x), STRIDES):
            scores.append(output[0, :80].sigmoid().permute(1, 2, 0).reshape(-1, 80))
            boxes.append(cell_boxes(output[0, 80:], stride))
    boxes, scores = torch.cat(boxes).clamp(0, size), torch.cat(scores)
    cells, labels = (scores > 0.05).nonzero(as_tuple=True)
    boxes, scores = boxes[cells], scores[cells, labels]
    keep = torchvision.ops.batched_nms(boxes, scores, labels, 0.6)[:100]
    corners = np.concatenate((boxes[keep].reshape(-1, 2).numpy(), np.ones((2 * len(keep), 1))), axis=1)
    corners = (corners @ np.linalg.inv(matrix).T)[:, :2].clip(0, [image.shape[1], image.shape[0]])
    return corners.reshape(-1, 4), scores[keep], labels[keep]
