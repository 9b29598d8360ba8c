"""Forms of a detector to benchmark, from a resized image to boxes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from mmdet.models.detectors import BaseDetector, SingleStageDetector
from mmdet.structures import DetDataSample
from torch import nn

from ...config.checkpoint_meta import config_meta
from ...config.detector import load_detector
from ...config.load import load_config
from ...deploy import shuffle_free_detector
from ...deploy.export import export_detector
from ...deploy.targets import TARGETS
from ...models.build import build_model
from .runtimes import cuda_graph_call, graph_call, ncnn_call, no_grad_call
from .task import Contender, Task, UnavailableError

__all__ = ['detector_batch', 'detector_contenders', 'make_detector']


def detector_contenders(task: Task) -> list[Contender]:
    """The forms of a detector."""
    contenders = [
        Contender('eager', partial(_eager, task)),
        Contender('eager, channels_last', partial(_eager, task, channels_last=True)),
        Contender('shuffle-free, eager', partial(_eager, task, change=shuffle_free_detector), 'eager'),
        Contender(
            'shuffle-free, eager, channels_last',
            partial(_eager, task, change=shuffle_free_detector, channels_last=True),
            'eager, channels_last',
        ),
    ]
    if task.device != 'cpu':
        contenders += [
            Contender('backbone and neck in a CUDA graph', partial(_graphed, task), runs_when_built=True),
            Contender(
                'shuffle-free, backbone and neck in a CUDA graph',
                partial(_graphed, task, change=shuffle_free_detector),
                'backbone and neck in a CUDA graph',
                runs_when_built=True,
            ),
        ]
    for runtime, block in (
        (target.name, target.block)
        for target in TARGETS.values()
        if '.onnx' in target.suffixes and not target.next_step
    ):
        plain = f'{runtime}, plain graph'
        contenders += [
            Contender(plain, partial(_graph, task, runtime, None)),
            Contender(f'{runtime}, shuffle-free', partial(_graph, task, runtime, block), plain),
        ]
    return [*contenders, Contender('ncnn, plain, without decoding and NMS', partial(_ncnn, task))]


def make_detector(task: Task) -> BaseDetector:
    """The detector with the checkpoint's weights or, without a checkpoint, with random ones."""
    assert task.config is not None  # without a config, a backbone is measured
    if task.checkpoint is not None:
        return load_detector(task.config, task.checkpoint, task.device)
    cfg = load_config(task.config)
    torch.manual_seed(0)
    model: BaseDetector = build_model(cfg.model)
    model.init_weights()
    model.cfg, model.dataset_meta = cfg, config_meta(cfg)
    return model.eval().to(task.device)


def _image(task: Task) -> np.ndarray:
    return np.random.default_rng(0).integers(256, size=(task.height, task.width, 3), dtype=np.uint8)


def detector_batch(task: Task) -> dict[str, Any]:
    """A batch of one image of the task's size, as from MMDetection's data loader."""
    size = (task.height, task.width)
    sample = DetDataSample(metainfo=dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0)))
    return dict(inputs=[torch.from_numpy(_image(task)).permute(2, 0, 1)], data_samples=[sample])


def _eager(
    task: Task, change: Callable[[BaseDetector], BaseDetector] = lambda model: model, channels_last: bool = False
) -> Callable[[], object]:
    model = change(make_detector(task))
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
    batch = detector_batch(task)
    return no_grad_call(lambda: model.test_step(batch))


def _graphed(task: Task, change: Callable[[BaseDetector], BaseDetector] = lambda model: model) -> Callable[[], object]:
    model = change(make_detector(task))
    batch = detector_batch(task)
    x = model.data_preprocessor(batch)['inputs']
    features = cuda_graph_call(model.extract_feat, x)

    def extract_feat(image: torch.Tensor) -> object:
        x.copy_(image)
        return features()

    model.extract_feat = extract_feat
    return no_grad_call(lambda: model.test_step(batch))


def _graph(task: Task, runtime: str, block: int | None) -> Callable[[], object]:
    image = _image(task)
    return graph_call(
        task,
        runtime,
        lambda path: export_detector(make_detector(task._replace(device='cpu')), path, image, block),
        image,
    )


class _RawOutputs(nn.Module):
    """A one-stage detector up to the raw outputs of its head."""

    def __init__(self, model: SingleStageDetector) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        scores, boxes = self.model.bbox_head(self.model.neck(self.model.backbone(x)))
        return (*scores, *boxes)


def _ncnn(task: Task) -> Callable[[], object]:
    model = make_detector(task)
    if not isinstance(model, SingleStageDetector):
        raise UnavailableError('only one-stage detectors are supported')
    return ncnn_call(task, _RawOutputs(model).eval(), torch.rand(1, 3, task.height, task.width))
