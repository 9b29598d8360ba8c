"""Resizing and padding in a config's test pipeline, and which steps can be exported."""

from __future__ import annotations

from typing import Any

from mmengine.config import Config

from ..data.pipelines import base_dataset
from ..utils.errors import UserError
from .graph import CenterPadding
from .resizing import INTERPOLATIONS, Resize

__all__ = ['resize_and_padding']


def resize_and_padding(cfg: Config) -> tuple[Resize, CenterPadding | None]:
    """How the config's test pipeline resizes and pads an image.

    Raises:
        UserError: If it has a step, or an option of a step, that cannot be exported.
    """
    resize, center_pad = None, None
    steps = base_dataset(cfg, 'test').pipeline
    for number, step in enumerate(steps):
        kind = step['type'] if isinstance(step['type'], str) else step['type'].__name__
        kind = kind.split('.')[-1]
        if kind in _RESIZES and resize is None and center_pad is None:
            resize = _resize(kind, step)
        elif kind == 'CenterPad' and center_pad is None and resize is not None:
            center_pad = CenterPadding(tuple(step['size']), tuple(map(float, step.get('pad_val', (0, 0, 0)))))
        elif kind == 'RandomCenterCropPad' and center_pad is None:
            resize, center_pad = resize or Resize(None, False, False), _larger_multiple(step)
        elif kind in _READERS:
            for key, default in _READS.items():
                if key == 'to_float32' and not any('Resize' in str(step['type']) for step in steps):
                    continue  # without resizing, nothing is rounded
                if step.get(key, default) not in (default, None):
                    raise UserError(
                        f"The config's test pipeline has {kind}({key}={step[key]!r}), but an exported file takes "
                        f'images as cv2.imread reads them: expected {key}={default!r}. Set it with '
                        f'`cfg_options` test_dataloader.dataset.pipeline.{number}.{key}={default} and '
                        f'evaluate again.'
                    )
        elif kind in (*_RESIZES, 'CenterPad'):
            raise UserError(
                f"The config's test pipeline has {kind} as step {number}, which is not supported there: "
                f'expected one Resize, then at most one CenterPad.'
            )
        elif kind not in ('LoadAnnotations', 'PackDetInputs'):
            raise UserError(
                f"The config's test pipeline has {kind}, which cannot be exported. Supported: Resize, "
                f'FixScaleResize, FitResize, WarpResize and CenterPad.'
            )
    if resize is None:
        raise UserError(_NO_SIZE)
    return resize, center_pad


_RESIZES = ('Resize', 'FixScaleResize', 'FitResize', 'WarpResize')
_NO_SIZE = (
    "The config's test pipeline has no Resize(scale=(width, height)), so the size that the detector expects is unknown."
)
# Supported options of steps that read an image, including the step for arrays of mmdet's inference_detector.
_READERS = ('LoadImageFromFile', 'LoadImageFromNDArray')
_READS = dict(to_float32=False, color_type='color', imdecode_backend='cv2')


def _larger_multiple(step: dict[str, Any]) -> CenterPadding:
    mode, mask = step.get('test_pad_mode', (None, 0))
    divisor = mask + step.get('test_pad_add_pix', 0)
    if (
        not step.get('test_mode')
        or mode != 'logical_or'
        or divisor != mask + 1
        or divisor & mask
        or any(step.get('mean') or ())
    ):
        raise UserError(
            "The config's test pipeline has a RandomCenterCropPad that cannot be exported: expected "
            "test_mode=True, test_pad_mode=['logical_or', 31], test_pad_add_pix=1 and mean=[0, 0, 0]."
        )
    return CenterPadding(None, (0.0, 0.0, 0.0), divisor)


def _resize(kind: str, step: dict[str, Any]) -> Resize:
    scale = step.get('scale')
    if scale is None:
        raise UserError(_NO_SIZE)
    backend = 'warp' if kind == 'WarpResize' else step.get('backend', 'cv2')
    interpolation = step.get('interpolation', 'bilinear')
    if interpolation not in INTERPOLATIONS.get(backend, ()):
        raise UserError(
            f"The config's test pipeline has {kind}(backend={backend!r}, interpolation={interpolation!r}), "
            f'which cannot be exported. Supported: '
            f'{"; ".join(f"{name}: " + ", ".join(kinds) for name, kinds in INTERPOLATIONS.items())}.'
        )
    fit = kind == 'FitResize'
    scale = (scale, scale) if isinstance(scale, int) else tuple(scale)
    return Resize(scale, fit or step.get('keep_ratio', False), kind != 'Resize', fit, interpolation, backend)
