"""Writing a trained detector as one ONNX graph, and checking the file against the detector."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Sequence
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
from ..engine.inference import load_detector
from ..errors import UserError
from .graph import DetectionGraph
from .onnx_detector import MADE_BY, Detections, OnnxDetector, Resize, session
from .shuffle_free import shuffle_free, shuffle_free_detector

__all__ = ['BLOCKS', 'Checked', 'export_onnx']

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


def export_onnx(config: str | os.PathLike, checkpoint: str | os.PathLike, out: str | os.PathLike, *,
                backbone_only: bool = False, keep_shuffle: bool = False, runtime: str = 'onnxruntime',
                image: str | os.PathLike | None = None, cfg_options: dict[str, Any] | None = None) -> Checked:
    """Export as ``tools/export.py`` does.

    Args:
        config: Config file.
        checkpoint: Weights of that config's model.
        out: The file to write, ``.onnx``. It is removed again if it fails the check.
        backbone_only: Export the backbone: from normalised images ``(N, 3, H, W)`` to its features.
        keep_shuffle: Export the backbone as it is rather than shuffle-free.
        runtime: For which runtime the shuffle-free form is made, one of ``BLOCKS``; any runtime can run it.
        image: Image on which the file is compared with the detector; a drawn one by default.
        cfg_options: Config entries to override.

    Raises:
        UserError: If config, checkpoint or image do not do, if the detector has a head that is not supported, if the
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
    out.parent.mkdir(parents=True, exist_ok=True)
    picture = draw_image(np.random.default_rng(0), size=320)[0] if image is None else cv2.imread(os.fspath(image))
    shown = 'a drawn image' if image is None else os.fspath(image)
    block = BLOCKS[runtime]
    if backbone_only:
        backbone = model.backbone if keep_shuffle else shuffle_free(model.backbone, block=block)
        return _export_backbone(model.backbone, backbone, out, picture, shown)
    fast = model
    if not keep_shuffle and isinstance(model.backbone, ShuffleNetV2):
        fast = shuffle_free_detector(model, block=block)
    return _export_detector(model, fast, out, picture, shown)


def _export_detector(model: nn.Module, fast: nn.Module, out: Path, picture: np.ndarray, shown: str) -> Checked:
    resize, center_pad = _steps(model.cfg)
    graph = DetectionGraph(fast, center_pad).eval()
    height, width = resize.size(*picture.shape[:2])
    example = torch.from_numpy(cv2.resize(picture, (width, height)))
    _write(graph, example, out, ['image'], {'dets': {0: 'found'}, 'labels': {0: 'found'}},
           {'image': {0: 'height', 1: 'width'}},
           dict(classes=json.dumps(model.dataset_meta['classes']), resize=json.dumps(resize._asdict())))
    detector = OnnxDetector(out)
    expected = _detect(model, picture)
    if not len(expected.scores):
        out.unlink()
        raise UserError(f'The detector finds nothing on {shown}, so the file could not be checked and was removed. '
                        f'Name an image on which it finds something: --image FILE.')
    difference, box_difference = _differences(expected, detector(picture))
    if not (difference <= TOLERANCE and box_difference <= BOX_TOLERANCE):
        out.unlink()
        raise UserError(f'On {shown} the exported file finds other things than the detector: scores differ by up to '
                        f'{difference:.2g} (at most {TOLERANCE} is expected), boxes by {box_difference:.2g} pixels (at '
                        f'most {BOX_TOLERANCE}). The file was removed.')
    return Checked(shown, len(expected.scores), difference, box_difference)


def _export_backbone(backbone: nn.Module, fast: nn.Module, out: Path, picture: np.ndarray, shown: str) -> Checked:
    x = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    names = [f'feature{place}' for place in range(len(fast(x)))]
    axes = {0: 'batch', 2: 'height', 3: 'width'}
    _write(fast, x, out, ['x'], {name: {0: 'batch'} for name in names}, {'x': axes}, {})
    with torch.no_grad():
        expected = backbone(x)
    differences = []
    for got, wanted in zip(session(out).run(None, {'x': x.numpy()}), expected, strict=True):
        differences.append(float(np.abs(got - wanted.numpy()).max() / wanted.abs().max()))
    if not max(differences) <= TOLERANCE:
        out.unlink()
        raise UserError(f'The exported features differ from the backbone\'s by {max(differences):.2g} of the largest '
                        f'one; at most {TOLERANCE} is expected. The file was removed.')
    return Checked(shown, 0, max(differences), 0.0)


def _need_onnx() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise UserError(f"Exporting needs onnx and onnxruntime: pip install onnx onnxruntime ({error})") from error


def _write(module: nn.Module, example: torch.Tensor, out: Path, inputs: list[str], outputs: dict[str, dict[int, str]],
           axes: dict[str, dict[int, str]], about: dict[str, str]) -> None:
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

    Infinite where one finds something that the other does not.
    """
    if sorted(expected.labels) != sorted(got.labels):
        return np.inf, np.inf
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
    for step in _pipeline(cfg):
        kind = step['type'] if isinstance(step['type'], str) else step['type'].__name__
        kind = kind.split('.')[-1]
        if kind in ('Resize', 'FixScaleResize') and resize is None:
            scale = step.get('scale')
            if scale is None:
                break
            resize = Resize(tuple(scale), step.get('keep_ratio', False), cut=kind == 'FixScaleResize')
        elif kind == 'CenterPad':
            center_pad = tuple(step['size'])
        elif kind not in ('LoadImageFromFile', 'LoadAnnotations', 'PackDetInputs'):
            raise UserError(f'The config\'s test pipeline has {kind}, which a graph cannot do. Supported are Resize, '
                            f'FixScaleResize and CenterPad.')
    if resize is None:
        raise UserError("The config's test pipeline has no Resize(scale=(width, height)), so the size that the "
                        "detector expects is unknown.")
    return resize, center_pad


def _pipeline(cfg: Config) -> Sequence[dict[str, Any]]:
    dataset = cfg.test_dataloader.dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    return dataset.pipeline
