"""Writing a trained detector as one ONNX graph, and checking the file against the detector."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from mmengine.config import Config
from torch import nn

from ..backbones import ShuffleNetV2
from ..datasets import check_images
from ..datasets.shapes import draw_image
from ..engine.folders import make_folder
from ..engine.inference import load_detector
from ..engine.pipelines import base_dataset
from ..errors import UserError
from .graph import DetectionGraph
from .onnx_detector import MADE_BY, Detections, OnnxDetector, Resize, session
from .shuffle_free import shuffle_free, shuffle_free_detector

__all__ = ['BLOCKS', 'Checked', 'export_backbone', 'export_detector', 'export_onnx']

OPSET = 17

#: Runtime -> ``block`` of the shuffle-free form that is fastest there, see :func:`.shuffle_free`.
BLOCKS = {'onnxruntime': 16, 'openvino': 1}

#: Largest differences that the check accepts: of scores and, against the largest one, of features; of boxes in pixels.
TOLERANCE = 1e-3
BOX_TOLERANCE = 0.05


class Checked(NamedTuple):
    """What comparing an exported file with the detector gave."""

    #: What they were compared on.
    image: str
    #: Detections on it; 0 for a backbone.
    found: int
    #: Largest difference of scores or features.
    difference: float
    #: Largest difference of boxes in pixels.
    box_difference: float


def export_onnx(config: str | os.PathLike | None, checkpoint: str | os.PathLike, out: str | os.PathLike, *,
                backbone_only: bool = False, keep_shuffle: bool = False, runtime: str = 'onnxruntime',
                image: str | os.PathLike | None = None, cfg_options: dict[str, Any] | None = None) -> Checked:
    """Export as ``tools/export.py`` does.

    Args:
        config: Config file; None takes the one inside the checkpoint.
        checkpoint: Weights of that config's model.
        out: The file to write, ``.onnx``. It is written only if it passes the check.
        backbone_only: Export the backbone: from normalised images ``(N, 3, H, W)`` to its features.
        keep_shuffle: Export the backbone as it is rather than shuffle-free.
        runtime: For which runtime the shuffle-free form is made, one of ``BLOCKS``; any runtime can run it.
        image: Image on which the file is compared with the detector; a drawn one by default.
        cfg_options: Config entries to override.

    Raises:
        UserError: If config, checkpoint or image is invalid, if the detector has a head that is not supported, if the
            two find different things, or if there was nothing to find.
    """
    out = Path(out)
    if out.suffix != '.onnx':
        raise UserError(f'{out}: expected a name that ends in .onnx.')
    if runtime not in BLOCKS:
        raise UserError(f'--for {runtime} is unknown: expected one of {", ".join(BLOCKS)}.')
    if image is not None:
        check_images([Path(image)])
    _need_onnx()
    model = load_detector(config, checkpoint, 'cpu', cfg_options)
    make_folder(out.parent, str(out))
    picture = draw_image(np.random.default_rng(0), size=320)[0] if image is None else cv2.imread(os.fspath(image))
    shown = 'a drawn image' if image is None else os.fspath(image)
    block = None if keep_shuffle else BLOCKS[runtime]
    unchecked = out.with_suffix('.unchecked.onnx')
    try:
        if backbone_only:
            x = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
            fast = model.backbone if block is None else shuffle_free(model.backbone, block=block)
            export_backbone(fast, unchecked, x)
            checked = _check_backbone(model.backbone, unchecked, x, shown)
        else:
            export_detector(model, unchecked, picture, block)
            checked = _check_detector(model, unchecked, picture, shown)
        unchecked.replace(out)
    finally:
        unchecked.unlink(missing_ok=True)
    return checked


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
    height, width = resize.size(*picture.shape[:2])
    write_graph(
        DetectionGraph(model, center_pad).eval(), torch.from_numpy(cv2.resize(picture, (width, height))), out,
        ['image'], {'dets': {0: 'found'}, 'labels': {0: 'found'}}, {'image': {0: 'height', 1: 'width'}},
        dict({key: json.dumps(model.dataset_meta[key]) for key in ('classes', 'category_ids')
              if key in model.dataset_meta}, resize=json.dumps(resize._asdict())))


def export_backbone(backbone: nn.Module, out: Path, x: torch.Tensor) -> None:
    """Write a backbone as a graph from ``x``, normalised images ``(N, 3, H, W)``, to ``feature0``, ``feature1``, ..."""
    with torch.no_grad():
        names = [f'feature{place}' for place in range(len(backbone(x)))]
    write_graph(backbone, x, out, ['x'], {name: {0: 'batch'} for name in names},
                {'x': {0: 'batch', 2: 'height', 3: 'width'}}, {})


def _check_detector(model: nn.Module, out: Path, picture: np.ndarray, shown: str) -> Checked:
    expected = _detect(model, picture)
    if not len(expected.scores):
        raise UserError(f'The detector finds nothing on {shown}, so the file could not be checked and was not '
                        f'written. Name an image on which it finds something: --image FILE.')
    got = OnnxDetector(out)(picture)
    if sorted(expected.labels) != sorted(got.labels):
        number = (f'{len(got.labels)} objects and not {len(expected.labels)}'
                  if len(got.labels) != len(expected.labels) else 'as many objects of other classes')
        raise UserError(f'On {shown} the exported file finds other things than the detector: {number}. It was not '
                        f'written. Weights that were hardly trained score many boxes nearly alike, and then rounding '
                        f'decides which of them stay: train longer, or name another image, --image FILE.')
    difference, box_difference = _differences(expected, got)
    if not (difference <= TOLERANCE and box_difference <= BOX_TOLERANCE):
        raise UserError(f'On {shown} the exported file finds other things than the detector: scores differ by up to '
                        f'{difference:.2g} (at most {TOLERANCE} is expected), boxes by {box_difference:.2g} pixels (at '
                        f'most {BOX_TOLERANCE}). It was not written.')
    return Checked(shown, len(expected.scores), difference, box_difference)


def _check_backbone(backbone: nn.Module, out: Path, x: torch.Tensor, shown: str) -> Checked:
    with torch.no_grad():
        expected = backbone(x)
    difference = max(float(np.abs(got - wanted.numpy()).max() / wanted.abs().max())
                     for got, wanted in zip(session(out).run(None, {'x': x.numpy()}), expected, strict=True))
    if not difference <= TOLERANCE:
        raise UserError(f"The exported features differ from the backbone's by {difference:.2g} of the largest one; at "
                        f'most {TOLERANCE} is expected. The file was not written.')
    return Checked(shown, 0, difference, 0.0)


def _need_onnx() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise UserError(f"Exporting needs onnx and onnxruntime: pip install onnx onnxruntime ({error})") from error


def write_graph(module: nn.Module, example: torch.Tensor, out: Path, inputs: list[str],
                outputs: dict[str, dict[int, str]], axes: dict[str, dict[int, str]], about: dict[str, str]) -> None:
    """Trace a module into an ONNX file.

    Args:
        module: In eval mode.
        example: Input to trace with.
        out: File to write.
        inputs: Name of the input.
        outputs: Name of each output, and the names of its dimensions that vary.
        axes: The dimensions of the input that vary.
        about: Metadata entries.
    """
    import onnx

    from .. import __version__
    with warnings.catch_warnings():
        # Traced numbers that stay constant do so for every image; that sizes do not is what the tests try.
        warnings.simplefilter('ignore')
        # The tracing exporter: the newer one cannot leave the number of boxes open.
        torch.onnx.export(module, (example, ), str(out), dynamo=False, opset_version=OPSET, input_names=inputs,
                          output_names=list(outputs), dynamic_axes=axes | outputs)
    graph = onnx.load(out)
    onnx.helper.set_model_props(graph, {MADE_BY: __version__, **about})
    onnx.save(graph, out)


def _detect(model: nn.Module, picture: np.ndarray) -> Detections:
    from mmdet.apis import inference_detector
    found = inference_detector(model, picture).pred_instances.cpu().numpy()
    return Detections(found.bboxes, found.scores, found.labels)


def _differences(expected: Detections, got: Detections) -> tuple[float, float]:
    """Largest difference of scores and of boxes, each detection held against the nearest one of its label.

    Both have equally many of each label.
    """
    of_scores, of_boxes = [], []
    for box, score, label in zip(*expected):
        same = got.labels == label
        apart = np.abs(got.boxes[same] - box).max(axis=1)
        nearest = apart.argmin()
        of_boxes.append(float(apart[nearest]))
        of_scores.append(float(np.abs(got.scores[same][nearest] - score)))
    return max(of_scores), max(of_boxes)


def _steps(cfg: Config) -> tuple[Resize, tuple[int, int] | None]:
    """How the config's test pipeline resizes and pads an image."""
    resize, center_pad = None, None
    for step in base_dataset(cfg, 'test').pipeline:
        kind = step['type'] if isinstance(step['type'], str) else step['type'].__name__
        kind = kind.split('.')[-1]
        if kind in ('Resize', 'FixScaleResize', 'FitResize') and resize is None:
            scale = step.get('scale')
            if scale is None:
                break
            fit = kind == 'FitResize'
            resize = Resize(tuple(scale), fit or step.get('keep_ratio', False), cut=kind != 'Resize', fit=fit)
        elif kind == 'CenterPad':
            center_pad = tuple(step['size'])
        # mmdet's inference_detector puts LoadImageFromNDArray into the config of a model that it hands an array.
        elif kind not in ('LoadImageFromFile', 'LoadImageFromNDArray', 'LoadAnnotations', 'PackDetInputs'):
            raise UserError(f'The config\'s test pipeline has {kind}, which a graph cannot do. Supported are Resize, '
                            f'FixScaleResize, FitResize and CenterPad.')
    if resize is None:
        raise UserError("The config's test pipeline has no Resize(scale=(width, height)), so the size that the "
                        "detector expects is unknown.")
    return resize, center_pad
