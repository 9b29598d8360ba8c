"""What a config's pipelines say, wherever the data set that has them is wrapped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmengine.config import Config

__all__ = ['base_dataset', 'image_size', 'step_name', 'steps']


def base_dataset(cfg: Config, split: str) -> Any:
    """The data set config of a split (``train``, ``val``, ``test``) without those that wrap it (``RepeatDataset``)."""
    dataset = cfg[f'{split}_dataloader'].dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    return dataset


def image_size(cfg: Config, split: str = 'test') -> tuple[int, int] | None:
    """Width and height that a split's pipeline fits an image into; None where it does not resize, or there is none."""
    if not cfg.get(f'{split}_dataloader'):
        return None
    for step in steps(base_dataset(cfg, split).get('pipeline')):
        if isinstance(step.get('scale'), (list, tuple)):
            return tuple(step['scale'])
    return None


def steps(pipeline: Any) -> Iterator[dict[str, Any]]:
    """The transforms of pipelines, those inside others (``TestTimeAug``, ``RandomChoice``) included."""
    if isinstance(pipeline, (list, tuple)):
        for entry in pipeline:
            yield from steps(entry)
    elif isinstance(pipeline, dict):
        yield pipeline
        yield from steps(pipeline.get('transforms'))


def step_name(step: dict[str, Any]) -> str:
    """What a transform is called, without the scope of its registry."""
    kind = step['type']
    return kind.split('.')[-1] if isinstance(kind, str) else kind.__name__
