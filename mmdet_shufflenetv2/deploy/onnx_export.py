"""Writing a trained detector as one ONNX graph, and checking the file against the detector."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from torch import nn

from ..config.detector import load_detector
from ..config.options import ExportOptions
from ..data import check_images
from ..data.pipelines import base_dataset
from ..data.shapes import draw_image
from ..models.backbones import ShuffleNetV2
from ..utils.errors import UserError
from ..utils.files import make_folder, unfinished_file
from ..utils.installation import __version__
from ..utils.options import takes_options
from .export_check import Checked, check_detector, check_features
from .graph import CenterPadding, DetectionGraph
from .onnx_detector import INTERPOLATIONS, MADE_BY, Resize, session
from .shuffle_free import shuffle_free, shuffle_free_detector

__all__ = ['BLOCKS', 'Checked', 'export_backbone', 'export_detector', 'export_onnx']

OPSET = 17

#: Runtime -> ``block`` of the shuffle-free form that is fastest there, see :func:`.shuffle_free`.
BLOCKS = {'onnxruntime': 16, 'openvino': 1}


@takes_options(ExportOptions)
def export_onnx(options: ExportOptions) -> Checked:
    """Export a detector: ``export_onnx(ExportOptions(config, checkpoint, out))``, or ``export_onnx(config, ...)``.

    Args:
        options: What to export and how; see :class:`.ExportOptions`. ``out`` is written only if it passes the check.
            With ``backbone_only`` it takes normalised images ``(N, 3, H, W)`` and gives the backbone's features.

    Raises:
        UserError: If config, checkpoint or image is invalid, if the detector has a head that is not supported or its
            test pipeline a step that a file cannot do, or if the file computes something else.
    """
    out, image = Path(options.out), options.image
    if out.suffix != '.onnx':
        raise UserError(f'{out}: expected a name that ends in .onnx.')
    if options.runtime not in BLOCKS:
        raise UserError(f'runtime={options.runtime} is unknown: expected one of {", ".join(BLOCKS)}.')
    if image is not None:
        check_images([Path(image)])
    _need_onnx()
    model = load_detector(options.config, options.checkpoint, 'cpu', options.cfg_options)
    make_folder(out.parent, 'out')
    picture = draw_image(np.random.default_rng(0), size=320)[0] if image is None else cv2.imread(os.fspath(image))
    shown = 'a drawn image' if image is None else os.fspath(image)
    block = None if options.keep_shuffle else BLOCKS[options.runtime]
    with unfinished_file(out) as unchecked:
        if options.backbone_only:
            return _write_backbone(model.backbone, unchecked, picture, shown, block)
        export_detector(model, unchecked, picture, block)
        return check_detector(model, unchecked, picture, shown)


def _write_backbone(backbone: nn.Module, out: Path, picture: np.ndarray, shown: str, block: int | None) -> Checked:
    x = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    export_backbone(backbone if block is None else shuffle_free(backbone, block=block), out, x)
    # Two images of a size that the tracing has not seen.
    x = torch.cat((x, x.flip(3)))[..., :max(x.shape[2] * 3 // 4, 1), :]
    with torch.no_grad():
        expected = [feature.numpy() for feature in backbone(x)]
    return Checked(shown, 0, check_features(session(out).run(None, {'x': x.numpy()}), expected), 0.0)


def export_detector(model: nn.Module, out: Path, picture: np.ndarray, block: int | None) -> None:
    """Write a detector with its ``cfg`` and ``dataset_meta`` as a graph.

    Args:
        model: In eval mode, on the CPU.
        out: File to write.
        picture: ``(H, W, 3)`` uint8, to trace with.
        block: See :func:`.shuffle_free`; None leaves the backbone as it is.
    """
    if block is not None and isinstance(model.backbone, ShuffleNetV2):
        model = shuffle_free_detector(model, block=block)
    resize, center_pad = _steps(model.cfg)
    graph = DetectionGraph(model, center_pad).eval()
    write_graph(
        graph, torch.from_numpy(resize(picture)), out, {'image': {0: 'height', 1: 'width'}},
        {'dets': {0: 'found'}, 'labels': {0: 'found'}},
        dict({key: json.dumps(model.dataset_meta[key]) for key in ('classes', 'category_ids')
              if key in model.dataset_meta}, resize=json.dumps(resize._asdict())), graph.part_names)


def export_backbone(backbone: nn.Module, out: Path, x: torch.Tensor) -> None:
    """Write a backbone as a graph from ``x``, normalised images ``(N, 3, H, W)``, to ``feature0``, ``feature1``, ..."""
    with torch.no_grad():
        names = [f'feature{place}' for place in range(len(backbone(x)))]
    write_graph(backbone, x, out, {'x': {0: 'batch', 2: 'height', 3: 'width'}}, {name: {0: 'batch'} for name in names})


def _need_onnx() -> None:
    try:
        import onnx  # noqa: F401 - optional
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise UserError(f"Exporting needs onnx and onnxruntime: pip install onnx onnxruntime ({error})") from error


def write_graph(module: nn.Module, example: torch.Tensor, out: Path, inputs: dict[str, dict[int, str]],
                outputs: dict[str, dict[int, str]], about: dict[str, str] | None = None,
                parts: Sequence[str] = ()) -> None:
    """Trace a module into an ONNX file.

    Args:
        module: In eval mode.
        example: Input to trace with.
        out: File to write.
        inputs, outputs: Name of the input and of each output, and the names of its dimensions that vary.
        about: Metadata entries.
        parts: Names of what the module returns behind the outputs: they stay inside the graph under these names.
    """
    import onnx  # optional
    with warnings.catch_warnings():
        # Traced numbers that stay constant do so for every image; that sizes do not is what the tests try.
        warnings.simplefilter('ignore')
        # The tracing exporter: the newer one cannot leave the number of boxes open.
        torch.onnx.export(module, (example, ), str(out), dynamo=False, opset_version=OPSET, input_names=list(inputs),
                          output_names=[*outputs, *parts], dynamic_axes=inputs | outputs)
    graph = onnx.load(out)
    for part in list(graph.graph.output)[len(graph.graph.output) - len(parts):]:
        part.type.tensor_type.ClearField('shape')  # the traced one
        graph.graph.value_info.append(part)
        graph.graph.output.remove(part)
    onnx.helper.set_model_props(graph, {MADE_BY: __version__, **(about or {})})
    onnx.save(graph, out)


def _steps(cfg: Config) -> tuple[Resize, CenterPadding | None]:
    """How the config's test pipeline resizes and pads an image.

    Raises:
        UserError: If it has a step, or an option of one, that a file cannot do.
    """
    resize, center_pad = None, None
    for number, step in enumerate(base_dataset(cfg, 'test').pipeline):
        kind = step['type'] if isinstance(step['type'], str) else step['type'].__name__
        kind = kind.split('.')[-1]
        if kind in _RESIZES and resize is None and center_pad is None:
            resize = _resize(kind, step)
        elif kind == 'CenterPad' and center_pad is None and resize is not None:
            center_pad = CenterPadding(tuple(step['size']), tuple(map(float, step.get('pad_val', (0, 0, 0)))))
        elif kind in _READERS:
            for key, default in _READS.items():
                if step.get(key, default) not in (default, None):
                    raise UserError(f'The config\'s test pipeline has {kind}({key}={step[key]!r}), and a file takes '
                                    f'images as cv2.imread reads them: expected {key}={default!r}. Set it with '
                                    f'`cfg_options` test_dataloader.dataset.pipeline.{number}.{key}={default} and '
                                    f'evaluate again.')
        elif kind in (*_RESIZES, 'CenterPad'):
            raise UserError(f"The config's test pipeline has {kind} as step {number}, which a graph cannot do there: "
                            f'expected one Resize, then at most one CenterPad.')
        elif kind not in ('LoadAnnotations', 'PackDetInputs'):
            raise UserError(f'The config\'s test pipeline has {kind}, which a graph cannot do. Supported are Resize, '
                            f'FixScaleResize, FitResize, WarpResize and CenterPad.')
    if resize is None:
        raise UserError(_NO_SIZE)
    return resize, center_pad


_RESIZES = ('Resize', 'FixScaleResize', 'FitResize', 'WarpResize')
_NO_SIZE = ("The config's test pipeline has no Resize(scale=(width, height)), so the size that the detector expects is "
            'unknown.')
# What steps that read an image may say, mmdet's inference_detector's for an array included.
_READERS = ('LoadImageFromFile', 'LoadImageFromNDArray')
_READS = dict(to_float32=False, color_type='color', imdecode_backend='cv2')


def _resize(kind: str, step: dict[str, Any]) -> Resize:
    scale = step.get('scale')
    if scale is None:
        raise UserError(_NO_SIZE)
    backend = 'warp' if kind == 'WarpResize' else step.get('backend', 'cv2')
    interpolation = step.get('interpolation', 'bilinear')
    if interpolation not in INTERPOLATIONS.get(backend, ()):
        raise UserError(f"The config's test pipeline has {kind}(backend={backend!r}, interpolation={interpolation!r}), "
                        f'which a file cannot do. Supported are '
                        f'{"; ".join(f"{name}: " + ", ".join(kinds) for name, kinds in INTERPOLATIONS.items())}.')
    fit = kind == 'FitResize'
    scale = (scale, scale) if isinstance(scale, int) else tuple(scale)
    return Resize(scale, fit or step.get('keep_ratio', False), kind != 'Resize', fit, interpolation, backend)
