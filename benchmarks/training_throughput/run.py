"""Time variants of a training step on this CPU alternately, with the same weights and images.

python benchmarks/training_throughput/run.py --images COCO/train2017
"""

from __future__ import annotations

import argparse
import copy
import functools
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

import mmdet_shufflenetv2  # noqa: F401 - before MMDetection, which cannot be imported without it

# isort: split
from mmcv.transforms import Compose
from mmdet.testing import demo_mm_inputs
from mmdet.utils import register_all_modules

from mmdet_shufflenetv2.config.load import load_config
from mmdet_shufflenetv2.data.pipelines import base_dataset, image_size
from mmdet_shufflenetv2.models.build import build_model
from mmdet_shufflenetv2.models.step_memory import _peak
from mmdet_shufflenetv2.training.fault_tolerance.randomness import seed_all

CONFIGS = Path(__file__).parents[2] / 'configs'


def compiled(model: nn.Module) -> None:
    """Backbone and neck; heads build targets of changing shapes."""
    model.backbone.forward = torch.compile(model.backbone.forward)
    model.neck.forward = torch.compile(model.neck.forward)


FORMS: dict[str, Callable[[nn.Module], object]] = {
    'as it is': lambda model: None,
    'channels_last': lambda model: model.to(memory_format=torch.channels_last),
    'bf16': lambda model: setattr(model, 'is_bf16', True),
    'torch.compile': compiled,
}


def step(model: nn.Module, data: dict) -> float:
    """Loss of a forward and backward pass, and a step of the optimizer."""
    seed_all(0)  # heads sample at random
    model.zero_grad()
    with torch.autocast('cpu', torch.bfloat16, enabled=hasattr(model, 'is_bf16')):
        losses = model(**model.data_preprocessor(copy.deepcopy(data), True), mode='loss')
    loss, _ = model.parse_losses(losses)
    loss.backward()
    return float(loss)


def compare(name: str, images: int, rounds: int, forms: list[str]) -> None:
    """Print the table of a config's detector."""
    cfg = load_config(CONFIGS / f'{name}.py')
    width, height = image_size(cfg)
    torch.manual_seed(0)
    if 'train_cfg' in cfg.model:
        cfg.model.train_cfg.pop('assign_guidance', None)  # fine-tuning has none
    model = build_model(cfg.model, for_training=True).train()
    data = demo_mm_inputs(images, [(3, height, width)] * images, num_items=[7] * images, num_classes=5)
    models = {form: copy.deepcopy(model) for form in forms}
    for form, own in models.items():
        FORMS[form](own)
    losses = {form: step(own, data) for form, own in models.items()}  # not timed: torch.compile compiles
    peaks = {form: _peak(functools.partial(step, own, data)) for form, own in models.items()}
    seconds: dict[str, list[float]] = {form: [] for form in forms}
    for number in range(rounds):
        for form in forms if number % 2 else forms[::-1]:
            began = time.process_time()
            step(models[form], data)
            seconds[form].append(time.process_time() - began)
    print(
        f'\n{name}, {images} images of {width}x{height}, {torch.get_num_threads()} threads\n\n'
        f'| form | CPU seconds per step | to the first, paired | loss | peak memory |\n| --- | --- | --- | --- | --- |'
    )
    for form in forms:
        ratio = statistics.median(own / first for own, first in zip(seconds[form], seconds[forms[0]]))
        print(
            f'| {form} | {statistics.median(seconds[form]):.2f} | {ratio:.2f} | {losses[form]:.5f} | '
            f'{peaks[form] / 2**20:.0f} MB |',
            flush=True,
        )


def loading(folder: Path, rounds: int) -> None:
    """Print the share of decoding in loading an image."""
    cfg = load_config(CONFIGS / 'nanodet_plus_m_snv2.py')
    load, *rest = [
        transform
        for transform in base_dataset(cfg, 'train').pipeline
        if transform['type'] not in ('LoadAnnotations', 'FilterAnnotations', 'PackDetInputs')
    ]
    decode, others = Compose([load]), Compose(rest)
    files = sorted(folder.glob('*.jpg'))[:50]
    spent = {'decoding': 0.0, 'the other transforms': 0.0}
    for _ in range(rounds):
        for file in files:
            began = time.process_time()
            loaded = decode(dict(img_path=str(file), img_id=0))
            between = time.process_time()
            others(loaded)
            spent['decoding'] += between - began
            spent['the other transforms'] += time.process_time() - between
    height, width = loaded['ori_shape']
    print(
        f'\nCPU milliseconds per image, such as {width}x{height}: '
        + ', '.join(f'{what} {1000 * taken / rounds / len(files):.1f}' for what, taken in spent.items())
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--config', nargs='*', default=['nanodet_plus_m_snv2', 'faster_rcnn_snv2_shapes'])
    parser.add_argument('--batch-size', type=int, default=8)
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--forms', nargs='+', default=list(FORMS), choices=list(FORMS))
    parser.add_argument('--images', type=Path, help='a folder of photographs, to time decoding')
    arguments = parser.parse_args()
    register_all_modules(init_default_scope=True)
    for name in arguments.config:
        compare(name, arguments.batch_size, arguments.rounds, arguments.forms)
    if arguments.images:
        loading(arguments.images, arguments.rounds)


if __name__ == '__main__':
    main()
