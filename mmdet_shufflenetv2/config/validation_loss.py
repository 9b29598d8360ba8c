"""Add a validation loss to a config."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from mmengine.config import Config

from ..data.loss_targets import LOSS_TARGETS
from ..data.pipelines import step_name, steps
from .access import datasets_of, require_detector, require_entries

__all__ = ['add_validation_loss']

_META_KEYS = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'flip', 'flip_direction')


def add_validation_loss(cfg: Config) -> None:
    """Make each evaluation during training also compute the loss. ``cfg`` is changed in place.

    Annotations are loaded as in training, including masks, and pass through the transforms of the evaluation. A
    pipeline that does not follow MMDetection's structure is left unchanged.

    Raises:
        UserError: If the model is not a detector, or there is no validation.
    """
    require_detector(cfg, '`val_loss` is for detectors')
    require_entries(cfg, 'val_dataloader')
    loading = [
        step
        for dataset in datasets_of(cfg, 'train')
        for step in steps(dataset.get('pipeline'))
        if step_name(step) == 'LoadAnnotations'
    ]
    for dataset in datasets_of(cfg, 'val') if loading else ():
        if pipeline := _with_targets(list(dataset.get('pipeline') or []), loading[0]):
            dataset.pipeline = pipeline
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), dict(type='ValidationLossHook')]


def _with_targets(pipeline: list[Any], loading: dict[str, Any]) -> list[Any] | None:
    """An evaluation pipeline that also transforms the annotations; None if its structure is not supported."""
    names = [step_name(step) for step in pipeline]
    image = next((index for index, name in enumerate(names) if name.startswith('Load') and 'Image' in name), None)
    last = [name for name in names[-2:] if name in ('LoadAnnotations', 'PackDetInputs')]
    if image is None or 'PackDetInputs' not in last or 'LoadAnnotations' in names[: -len(last)]:
        return None
    pipeline = deepcopy(pipeline)
    pipeline[-1]['meta_keys'] = (*pipeline[-1].get('meta_keys', _META_KEYS), LOSS_TARGETS)
    return [
        *pipeline[: image + 1],
        deepcopy(loading),
        *pipeline[image + 1 : -len(last)],
        dict(type='KeepLossTargets'),
        *pipeline[-len(last) :],
    ]
