"""Find the largest batch size that fits in memory, with training steps on random images."""

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

#: Part of the memory to use. Images with many objects need more than the random ones.
_SHARE = 0.8
#: Boxes of a random image.
_BOXES = 20
#: Batch sizes of the two steps that measure the memory of a CPU. Batch norm needs at least two images.
_FEW, _MORE = 2, 4


def images_that_fit(model_cfg: dict[str, Any], size: tuple[int, int], most: int) -> tuple[int, str]:
    """Find the largest power of two of images per step that fits in memory.

    On a GPU each batch size is tried. On a CPU the peak memory of two small steps is extrapolated.

    Args:
        model_cfg: ``cfg.model`` of a config.
        size: Width and height of the images, in pixels.
        most: Upper limit of the batch size.

    Returns:
        The batch size, and the reason in words.

    Raises:
        UserError: If two images do not fit, or peak memory cannot be measured.
    """
    device = get_device()
    model: torch.nn.Module = build_model(model_cfg, for_training=True).to(device).train()
    fits = _fits_gpu(model, size) if device.startswith('cuda') else _fits_cpu(model, size)
    batch = 1
    while batch < most and fits(2 * batch) is None:
        batch *= 2
    if batch == 1 < most:
        raise UserError(f'A batch of 2 images does not fit in memory: {fits(2)}. Choose a smaller `image_size`.')
    del model
    gc.collect()
    why = fits(2 * batch) if batch < most else None
    return batch, f'the largest power of two that {f"fits in memory: {why}" if why else f"is at most {most}"}'


def _step(model: Any, size: tuple[int, int], images: int) -> None:
    """Forward and backward pass of random images, ``(images, 3, height, width)``."""
    width, height = size
    data = demo_mm_inputs(
        images,
        [(3, height, width)] * images,
        num_items=[_BOXES] * images,
        num_classes=2,
        with_mask=getattr(model, 'with_mask', False),
    )
    for sample in data['data_samples']:
        sample.gt_instances.labels.zero_()  # the detector may have a single class
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
    _step(model, size, _FEW)  # allocates gradients and other permanent memory
    less, more = (_peak(partial(_step, model, size, images)) for images in (_FEW, _MORE))
    each = max(more - less, 0) / (_MORE - _FEW)
    rest, available = max(less - _FEW * each, 0), _SHARE * _available()

    def fits(images: int) -> str | None:
        taken = rest + images * each
        return (
            None
            if taken <= available
            else (f'{images} images would take {taken / 2**30:.1f} GB of the {available / 2**30:.1f} GB that are free')
        )

    return fits


def _peak(call: Callable[[], None]) -> int:
    """Peak growth of the memory of this process during a call, in bytes."""
    gc.collect()
    if hasattr(trim := ctypes.CDLL(None), 'malloc_trim'):
        trim.malloc_trim(0)  # otherwise memory that was freed earlier would be reused and not counted
    try:
        Path('/proc/self/clear_refs').write_text('5')  # resets the peak
        before = _bytes('/proc/self/status', 'VmRSS')
        call()
        return _bytes('/proc/self/status', 'VmHWM') - before
    except OSError as error:
        raise UserError(
            f'batch_size=auto: peak memory cannot be measured on this system ({error}). Set batch_size to a number.'
        ) from error


def _bytes(path: str, entry: str) -> int:
    """An entry of a file in ``/proc``, in bytes."""
    found = re.search(rf'^{entry}:\s*(\d+) kB', Path(path).read_text(), re.MULTILINE)
    if found is None:
        raise OSError(f'no {entry} in {path}')
    return 1024 * int(found[1])


def _available() -> int:
    """Free memory of this process in bytes, limited by the machine and its control group."""
    free = [_bytes('/proc/meminfo', 'MemAvailable')]
    group = Path('/sys/fs/cgroup')
    limit = group / 'memory.max'
    if limit.is_file() and (text := limit.read_text().strip()).isdecimal():
        free.append(int(text) - int((group / 'memory.current').read_text()))
    return max(min(free), 0)
