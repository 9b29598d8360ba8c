"""A detector as one traceable module, from an image to boxes.

MMDetection's post-processing computes numbers of boxes in Python; a trace would keep those of its example image.
:mod:`.heads` has the same steps as tensor operations. Layers, anchors and box coders are the detector's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from mmdet.models.data_preprocessors import DetDataPreprocessor
from torch import Tensor, nn

from ..compat.private import normalizes, shape_as_tensor, swaps_channels
from ..utils.errors import UserError
from .heads import traceable_head
from .heads.operators import traceable
from .heads.selection import FOUND, clipped

__all__ = ['CenterPadding', 'DetectionGraph', 'feature_parts', 'part_of']


class DetectionGraph(nn.Module):
    """The module that is traced into an exported file.

    Args:
        model: A detector of MMDetection in eval mode.
        center_pad: Padding on all sides, before the detector's data preprocessor pads on the right and at the bottom;
            None for no padding.
        batch: Batch size.

    Attributes:
        detect: The traceable head.
        part_names: Names of the tensors that the last call of :meth:`forward` returned after boxes, labels and masks.

    Raises:
        UserError: If the detector's head, or the way it selects boxes, is not supported.
    """

    prepare: _Prepare
    backbone: Any
    neck: Any
    detect: Any

    def __init__(self, model: Any, center_pad: CenterPadding | None = None, batch: int = 1) -> None:
        super().__init__()
        self.batch = batch
        self.prepare = _Prepare(model.data_preprocessor, center_pad)
        self.backbone = model.backbone
        self.neck = getattr(model, 'neck', None)
        self.detect = traceable_head(model)
        self.output_names: tuple[str, ...] = ('dets', 'labels')
        self.part_names: tuple[str, ...] = ()

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Detections in one image.

        Args:
            image: ``(H, W, 3)`` uint8, blue, green, red, as OpenCV reads it, resized as in the config's test pipeline;
                with ``batch`` above 1 ``(batch, H, W, 3)``.

        Returns:
            Boxes with scores ``(N, 5)``, in descending order of scores: x1, y1, x2, y2 in pixels of ``image``, score.
            Labels ``(N)``. Masks ``(N, h, w)`` if the detector has them: probabilities in the cells of a box. Then
            intermediate results for the check, see ``part_names``. With ``batch`` above 1, all outputs have the image's
            index as first axis, and images with fewer detections are padded with boxes and scores of 0 and labels of
            -1.
        """
        x, size, offset = self.prepare(image)
        with traceable():
            features = self.backbone(x)
            if self.neck is not None:
                features = self.neck(features)
            if self.batch == 1:
                outputs, parts = self._found(features, x, size, offset, shape_as_tensor(image)[:2])
            else:
                outputs, parts = self._found_in_each(features, x, size, offset, shape_as_tensor(image)[1:3])
        self.output_names, self.part_names = tuple(outputs), tuple(parts)
        return *outputs.values(), *parts.values()

    def _found(
        self, features: Sequence[Tensor], x: Tensor, size: Tensor, offset: Tensor, shape: Tensor
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Outputs and intermediate results by name, for one image of ``shape``: height and width."""
        (boxes, scores, labels), parts = self.detect(features, x, size)
        parts = dict(input=x) | feature_parts(features) | dict(zip(FOUND, (boxes, scores, labels))) | parts
        height, width = shape
        boxes = clipped(boxes - offset, torch.stack((width, height)))  # clip to the image without its padding
        outputs = dict(dets=torch.cat((boxes, scores[:, None]), dim=1), labels=labels)
        if 'masks' in parts:
            outputs['masks'] = parts.pop('masks')
        return outputs, parts

    def _found_in_each(
        self, features: Sequence[Tensor], x: Tensor, size: Tensor, offset: Tensor, shape: Tensor
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The same for a batch. Names of intermediate results, and of each image's outputs, start with the image."""
        each, parts = [], dict[str, Tensor]()
        for index in range(self.batch):
            outputs, own = self._found(
                [feature[index : index + 1] for feature in features], x[index : index + 1], size, offset, shape
            )
            each.append(outputs)
            parts |= {part_of(index, name): part for name, part in (outputs | own).items()}
        numbers = torch.stack([shape_as_tensor(outputs['labels'])[0] for outputs in each])
        missing: Any = numbers.max() - numbers
        return {
            name: torch.stack(
                [
                    F.pad(
                        outputs[name],
                        (0, 0) * (outputs[name].dim() - 1) + (0, missing[index]),
                        value=-1 if name == 'labels' else 0,
                    )
                    for index, outputs in enumerate(each)
                ]
            )
            for name in each[0]
        }, parts


def part_of(index: int, name: str) -> str:
    """The name of an intermediate result of one image of a batch."""
    return f'image{index}/{name}'


def feature_parts(features: Sequence[Tensor]) -> dict[str, Tensor]:
    """The neck's outputs by their names in the graph."""
    return {f'feature{level}': feature for level, feature in enumerate(features)}


class CenterPadding(NamedTuple):
    """Padding of :class:`.CenterPad`, or of MMDetection's ``RandomCenterCropPad`` in test mode."""

    #: Width and height in pixels; None for the next multiple of ``divisor`` above the image's size.
    size: tuple[int, int] | None
    #: Value of the padding for each channel of the image.
    value: tuple[float, ...]
    divisor: int = 0

    def place(self, width: Any, height: Any) -> tuple[Any, ...]:
        """Width and height of the padded image, and the offset of the image in it: left, top. All in pixels."""
        if self.size is not None:
            to_width, to_height = self.size
            return to_width, to_height, (to_width - width) // 2, (to_height - height) // 2
        to_width, to_height = ((side // self.divisor + 1) * self.divisor for side in (width, height))
        return to_width, to_height, to_width // 2 - width // 2, to_height // 2 - height // 2


class _Prepare(nn.Module):
    """Pads and normalizes images of one size, as MMDetection's ``DetDataPreprocessor``."""

    mean: Tensor
    std: Tensor
    channels: Tensor
    border: Tensor
    center_pad: CenterPadding | None

    def __init__(self, preprocessor: Any, center_pad: CenterPadding | None) -> None:
        super().__init__()
        if type(preprocessor) is not DetDataPreprocessor:
            raise UserError(
                f'A {type(preprocessor).__name__} cannot be exported: expected '
                f"model.data_preprocessor=dict(type='DetDataPreprocessor', ...)."
            )
        normalized = normalizes(preprocessor)
        self.register_buffer('mean', preprocessor.mean.clone() if normalized else torch.zeros(3, 1, 1))
        self.register_buffer('std', preprocessor.std.clone() if normalized else torch.ones(3, 1, 1))
        channels = torch.tensor([2, 1, 0] if swaps_channels(preprocessor) else [0, 1, 2])
        self.register_buffer('channels', channels)
        self.divisor = preprocessor.pad_size_divisor
        self.value = float(preprocessor.pad_value)
        self.center_pad = center_pad
        if center_pad is not None:
            value = torch.tensor(center_pad.value, dtype=torch.float32)[channels].view(3, 1, 1)
            self.register_buffer('border', (value - self.mean) / self.std)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The network's input; width and height to which boxes are clipped; the offset of boxes, ``(1, 4)``."""
        x = image.permute(2, 0, 1) if image.dim() == 3 else image.permute(0, 3, 1, 2)
        x = x.index_select(x.dim() - 3, self.channels).float()
        x = (x - self.mean) / self.std
        x = x if image.dim() == 4 else x[None]
        height, width = shape_as_tensor(x)[-2:]  # tensors, which remain dynamic in a trace
        size, offset = torch.stack((width, height)), x.new_zeros(1, 4)
        if self.center_pad is not None:
            to_width, to_height, left, above = self.center_pad.place(width, height)
            sides = (left, to_width - width - left, above, to_height - height - above)
            # The border of NanoDet's letterbox is the mean: zero once normalized.
            x = F.pad(x - self.border, sides) + self.border if self.border.any() else F.pad(x, sides)
            size = torch.stack((torch.as_tensor(to_width), torch.as_tensor(to_height)))
            offset = torch.stack((left, above, left, above))[None].to(x.dtype)
            width, height = to_width, to_height
        below, right = (-height) % self.divisor, (-width) % self.divisor
        if not (self.center_pad and self.center_pad.size and below == right == 0):
            x = F.pad(x, (0, right, 0, below), value=self.value)
        return x, size, offset
