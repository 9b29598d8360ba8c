"""How many images per step the memory takes, found by training steps on random images."""

from __future__ import annotations

import ctypes
import gc
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmdet.testing import demo_mm_inputs
from mmengine.device import get_device

from ..utils.errors import UserError
from .build import build_model

__all__ = ['images_that_fit']

#: Part of the memory that is to be used: steps on images with many objects take more.
_SHARE = 0.8
#: Boxes of a random image.
_BOXES = 20
#: Images of the steps by which a CPU's memory is measured; norms of random weights need two.
_FEW, _MORE = 2, 4


def images_that_fit(model_cfg: dict[str, Any], size: tuple[int, int], most: int) -> tuple[int, str]:
    """The largest power of two of images per step that memory takes.

    A GPU tries them. On a CPU the peaks of two small steps are extrapolated to what is available.

    Args:
        model_cfg: ``cfg.model`` of a config.
        size: Width and height of the images, in pixels.
        most: No more than so many.

    Returns:
        The number, and why, in words.

    Raises:
        UserError: If not even two images fit, or the peak cannot be measured here.
    """
    device = get_device()
    model = build_model(model_cfg, for_training=True).to(device).train()
    fits = _fits_gpu(model, size) if device.startswith('cuda') else _fits_cpu(model, size)
    batch = 1
    while batch < most and fits(2 * batch) is None:
        batch *= 2
    if batch == 1 < most:
        raise UserError(f'Not even a step of 2 images fits into memory: {fits(2)}. Choose a smaller `image_size`.')
    del model
    gc.collect()
    why = fits(2 * batch) if batch < most else None
    return batch, f'the largest power of two that {f"memory takes: {why}" if why else f"is not above {most}"}'


def _step(model: torch.nn.Module, size: tuple[int, int], images: int) -> None:
    """Forward and backward pass of random images of one size, ``(images, 3, height, width)``."""
    width, height = size
    data = demo_mm_inputs(images, [(3, height, width)] * images, num_items=[_BOXES] * images, num_classes=2,
                          with_mask=getattr(model, 'with_mask', False))
    for sample in data['data_samples']:
        sample.gt_instances.labels.zero_()  # a detector may have one class
    losses = model(**model.data_preprocessor(data, True), mode='loss')
    model.parse_losses(losses)[0].backward()


def _fits_gpu(model: torch.nn.Module, size: tuple[int, int]) -> Callable[[int], str | None]:

    def fits(images: int) -> str | None:
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.reset_peak_memory_stats()
        try:
            _step(model, size, images)
            taken = torch.cuda.max_memory_reserved()
        except torch.cuda.OutOfMemoryError:
            taken = total
        model.zero_grad()
        torch.cuda.empty_cache()
        return None if taken <= _SHARE * total else f'{images} images take more than {_SHARE * total / 2**30:.1f} GB'

    return fits


def _fits_cpu(model: torch.nn.Module, size: tuple[int, int]) -> Callable[[int], str | None]:
    _step(model, size, _FEW)  # gradients, and what stays
    less, more = (_peak(partial(_step, model, size, images)) for images in (_FEW, _MORE))
    each = max(more - less, 0) / (_MORE - _FEW)
    rest, available = max(less - _FEW * each, 0), _SHARE * _available()

    def fits(images: int) -> str | None:
        taken = rest + images * each
        return None if taken <= available else (
            f'{images} images would take {taken / 2**30:.1f} GB of the {available / 2**30:.1f} GB that are free')

    return fits


def _peak(call: Callable[[], None]) -> int:
    """Bytes by which the memory of this process grows at most during a call."""
    gc.collect()
    if hasattr(trim := ctypes.CDLL(None), 'malloc_trim'):
        trim.malloc_trim(0)  # what earlier calls have freed would be taken again, unseen
    try:
        Path('/proc/self/clear_refs').write_text('5')  # the peak begins at what is held now
        before = _status('VmRSS')
        call()
        return _status('VmHWM') - before
    except OSError as error:
        raise UserError(f'batch_size=auto: the memory of a process cannot be measured here ({error}). Name a '
                        f'number.') from error


def _status(entry: str) -> int:
    return 1024 * int(re.search(rf'^{entry}:\s*(\d+) kB', Path('/proc/self/status').read_text(), re.MULTILINE)[1])


def _available() -> int:
    """Bytes that this process may still take: what the machine has, and what its control group leaves."""
    free = [1024 * int(re.search(r'^MemAvailable:\s*(\d+) kB', Path('/proc/meminfo').read_text(), re.MULTILINE)[1])]
    group = Path('/sys/fs/cgroup')
    limit = group / 'memory.max'
    if limit.is_file() and (text := limit.read_text().strip()).isdecimal():
        free.append(int(text) - int((group / 'memory.current').read_text()))
    return max(min(free), 0)
