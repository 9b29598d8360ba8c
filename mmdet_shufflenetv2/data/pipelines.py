"""Read access to the data sets and pipelines of a config."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmengine.config import Config

__all__ = ['base_dataset', 'image_size', 'step_name', 'steps']


def base_dataset(cfg: Config, split: str) -> Any:
    """The data set config of a split (``train``, ``val``, ``test``) without wrappers such as ``RepeatDataset``."""
    dataset = cfg[f'{split}_dataloader'].dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    return dataset


def image_size(cfg: Config, split: str = 'test') -> tuple[int, int] | None:
    """Width and height that the pipeline of a split resizes to; None if there is no resize or no such split."""
    if not cfg.get(f'{split}_dataloader'):
        return None
    for step in steps(base_dataset(cfg, split).get('pipeline')):
        if isinstance(step.get('scale'), (list, tuple)):
            width, height = step['scale']
            return width, height
    return None


def steps(pipeline: Any) -> Iterator[dict[str, Any]]:
    """All transforms of pipelines, including those inside others (``TestTimeAug``, ``RandomChoice``)."""
    if isinstance(pipeline, (list, tuple)):
        for entry in pipeline:
            yield from steps(entry)
    elif isinstance(pipeline, dict):
        yield pipeline
        yield from steps(pipeline.get('transforms'))


def step_name(step: dict[str, Any]) -> str:
    """The name of a transform without the scope of its registry."""
    kind = step['type']
    return kind.split('.')[-1] if isinstance(kind, str) else kind.__name__
