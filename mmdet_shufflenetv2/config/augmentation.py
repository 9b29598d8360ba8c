"""Strength of the augmentation: random ranges of the config's own transforms, and random image sizes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from mmdet.registry import TRANSFORMS
from mmengine.config import Config

from ..data.pipelines import step_name, steps
from ..utils.errors import UserError
from .access import datasets_of

__all__ = ['set_augmentation', 'set_multi_scale']

#: Arguments of transforms that are a range of factors, or a maximum deviation.
_SIZES = ('scaling_ratio_range', 'ratio_range')
_FACTORS = (*_SIZES, 'stretching_ratio_range', 'contrast_range', 'saturation_range')
_DEVIATIONS = (
    'max_translate_ratio',
    'max_rotate_degree',
    'max_shear_degree',
    'brightness_delta',
    'hue_delta',
    'saturation_delta',
    'value_delta',
)


def set_augmentation(cfg: Config, strength: float) -> None:
    """Narrow or widen the random ranges of scale, aspect ratio, translation and color in a training pipeline.

    Flips, crops and mosaics are not changed.

    Args:
        cfg: Changed in place.
        strength: 1 keeps the ranges, 0 disables the variation, 0.5 halves the distance from no change.

    Raises:
        UserError: If ``strength`` is negative or makes a factor 0 or less, or if there is no such range.
    """
    if not 0 <= strength < float('inf'):
        raise UserError(f'augmentation={strength}: expected a number of 0 or more (0: none, 1: as in the config).')
    found = [(step, name, value) for step in _training_steps(cfg) for name, value in _parameters(step).items()]
    if not found:
        raise UserError(
            f'`augmentation` needs a transform with a random range in the training pipeline of '
            f'{cfg.filename}. Add one to its pipeline.'
        )
    for step, name, value in found:
        if name in _FACTORS:
            step[name] = tuple(1 + (factor - 1) * strength for factor in value)
            if min(step[name]) <= 0:
                raise UserError(
                    f'augmentation={strength}: {name} of {step_name(step)} would start at '
                    f'{min(step[name]):g}. Expected a smaller strength.'
                )
        else:
            step[name] = type(value)(value * strength)


def set_multi_scale(cfg: Config, fraction: float) -> None:
    """Train on images of random sizes: ``1 - fraction`` to ``1 + fraction`` of the input size.

    Args:
        cfg: Changed in place. If its training pipeline has no random size, its ``Resize`` gets one.
        fraction: At least 0, less than 1; 0 trains at one size.

    Raises:
        UserError: If ``fraction`` is not such a number, or the training pipeline does not resize images.
    """
    if not 0 <= fraction < 1:
        raise UserError(f'multi_scale={fraction}: expected 0 (one size) to less than 1, such as 0.25.')
    sizes, found = (1 - fraction, 1 + fraction), False
    for step in _training_steps(cfg):
        if step_name(step) == 'Resize' and 'scale' in step:
            step.update(type='RandomResize', ratio_range=sizes)
            found = True
        for name in set(_parameters(step)) & set(_SIZES):
            step[name], found = sizes, True
    if not found:
        raise UserError(
            f'`multi_scale` needs a Resize with a scale in the training pipeline of {cfg.filename}. Add '
            f'one to its pipeline.'
        )


def _training_steps(cfg: Config) -> Iterator[dict[str, Any]]:
    yield from steps([dataset.get('pipeline') for dataset in datasets_of(cfg, 'train')])


def _parameters(step: dict[str, Any]) -> dict[str, Any]:
    """The random ranges of a transform, including defaults that the config does not set."""
    kind = step['type'] if isinstance(step['type'], type) else TRANSFORMS.get(step['type'])
    defaults = {} if kind is None else {name: each.default for name, each in inspect.signature(kind).parameters.items()}
    return {
        name: step.get(name, defaults.get(name))
        for name in (*_FACTORS, *_DEVIATIONS)
        if name in step or (name in defaults and isinstance(defaults[name], (int, float, list, tuple)))
    }
