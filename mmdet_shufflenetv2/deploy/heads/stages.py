"""Parts of an exported graph, with made-up inputs and expected outputs, for the comparison with the detector."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .selection import Priors

__all__ = ['Stage', 'made_boxes', 'made_priors', 'made_scores']


class Stage(NamedTuple):
    """A part of the graph."""

    #: Its name in messages.
    what: str
    #: Inputs: they replace the graph's tensors of these names.
    given: dict[str, Tensor]
    #: Outputs that the detector computes from these inputs and the image, by name.
    wanted: dict[str, Tensor]


def made_scores(shape: torch.Size | tuple[int, ...], power: float = 1.0) -> Tensor:
    """Scores between 0 and 1, all different; the higher ``power``, the fewer are large."""
    generator = torch.Generator().manual_seed(0)
    number = torch.Size(shape).numel()
    return (((torch.randperm(number, generator=generator) + 0.5) / number) ** power).view(shape)


def made_boxes(number: int, size: Tensor) -> Tensor:
    """``(number, 4)`` boxes of many sizes and shapes, in and around an image of ``size``: width and height.

    Sides are 0.5 to 512 pixels. Some boxes are outside the image, so that any ``min_bbox_size`` drops some.
    """
    generator = torch.Generator().manual_seed(1)
    sides = 2.0 ** (torch.rand(number, 2, generator=generator) * 10 - 1)
    center = (torch.rand(number, 2, generator=generator) * 1.2 - 0.1) * size
    return torch.cat((center - sides / 2, center + sides / 2), dim=1)


def made_priors(like: Priors, size: Tensor, power: float = 1.0) -> Priors:
    """Made-up priors, as many and of as many classes as ``like``."""
    factors = None if like.factors is None else made_scores(like.factors.shape)
    return Priors(made_boxes(len(like.boxes), size), made_scores(like.scores.shape, power), factors, like.counts)
