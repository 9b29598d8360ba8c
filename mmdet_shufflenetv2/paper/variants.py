"""Multiply-adds and parameters of all variants of the network, compared to the published ones."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from ..models.backbones import ShuffleNetV2
from ..profiling.complexity import count_multiply_adds
from .reproduce.rows import IMAGENET, LEVELS

__all__ = ['Variant', 'variants', 'variants_table']


class Variant(NamedTuple):
    """One network on a 224x224 image, with conv5 and a classifier of 1000 classes."""

    name: str
    #: The figure in the paper; empty if there is none.
    published: str
    multiply_adds: int
    parameters: int


# Name, arguments, multiply-adds in tables 5, 6 and 8 of the paper. For V2*, table 7 gives only complexity classes.
_VARIANTS: tuple[tuple[str, dict[str, Any], str], ...] = (
    *(
        (f'{width}x, {variant}', dict(widen_factor=width, variant=variant), f'{IMAGENET[width, ""].mflops}M')
        for variant in ('authors', 'torchvision')
        for width in LEVELS.values()
    ),
    ('2.0x with SE, authors', dict(widen_factor=2.0, variant='authors', with_se=True), '597M'),
    *(
        (
            f'V2* {width}x, authors',
            dict(widen_factor=width, variant='authors', large_receptive_field=True),
            f'class of {level}',
        )
        for level, width in LEVELS.items()
    ),
    ('V2-50, torchvision', dict(depth=50), '2.3G'),
    ('V2-50, authors', dict(depth=50, variant='authors'), '2.3G'),
)

CLASSES = 1000


def variants() -> list[Variant]:
    """Count the multiply-adds and parameters of all variants."""
    rows = []
    for name, kwargs, published in _VARIANTS:
        last = 5 if 'depth' in kwargs else 4
        backbone = ShuffleNetV2(**kwargs, out_indices=(last,)).eval()
        classifier = torch.nn.Linear(backbone.feature_info[-1].channels, CLASSES)
        madds = count_multiply_adds(backbone, torch.zeros(1, 3, 224, 224)) + classifier.weight.numel()
        rows.append(
            Variant(
                name,
                published,
                madds,
                sum(parameter.numel() for module in (backbone, classifier) for parameter in module.parameters()),
            )
        )
    return rows


def variants_table(rows: list[Variant]) -> str:
    """The rows as a Markdown table."""
    lines = ['| network | published multiply-adds | counted | parameters |', '| --- ' * 4 + '|']
    lines += [
        f'| {row.name} | {row.published} | {row.multiply_adds / 1e6:.1f}M | {row.parameters / 1e6:.2f}M |'
        for row in rows
    ]
    return '\n'.join(lines)
