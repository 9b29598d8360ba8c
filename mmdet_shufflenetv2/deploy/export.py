"""Export of a trained detector for a target, and the check of the file against the detector."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..config.detector import load_detector
from ..config.options import ExportOptions
from ..data import check_images
from ..data.shapes import draw_image
from ..models.backbones import ShuffleNetV2
from ..utils.errors import UserError
from ..utils.files import make_folder, unfinished_files
from ..utils.images import decode_image
from ..utils.installation import __version__
from ..utils.options import takes_options
from .check import Checked, agreement, check_detector, check_features, matched_detections
from .exported import ExportedDetector
from .graph import DetectionGraph
from .onnx_graph import write_graph
from .pipeline import resize_and_padding
from .precision import calibration_images
from .shuffle_free import shuffle_free, shuffle_free_detector
from .targets import TARGETS, target_of
from .targets.onnxruntime import session
from .targets.target import MADE_BY, Program, Target

__all__ = ['Checked', 'export_backbone', 'export_detector', 'export_model']

#: Minimum share of detections in lower precision that match those in single precision.
LEAST_AGREEMENT = 0.5


@takes_options(ExportOptions)
def export_model(options: ExportOptions) -> Checked:
    """Export a detector: ``export_model(ExportOptions(config, checkpoint, out))``, or ``export_model(config, ...)``.

    Args:
        options: See :class:`.ExportOptions`. ``out`` is written only if it passes the check. With ``backbone_only`` its
            input is normalized images ``(N, 3, H, W)`` and its outputs are the backbone's features.

    Raises:
        UserError: If config, checkpoint or image is invalid, if the detector's head or a step of its test pipeline is
            not supported, or if the file's outputs do not match the detector's.
    """
    out, image, target = Path(options.out), options.image, target_of(options.out, options.target)
    if options.backbone_only and out.suffix != '.onnx':
        raise UserError(f'{out}: `backbone_only` writes ONNX, expected a name that ends in .onnx.')
    _check_precision(target, options)
    _check_batch(target, options)
    if options.data is not None or (options.precision == 'int8' and target.calibrates):
        calibration_images(options.data)
    _check_folder(out) if target.is_folder or target.writes_folder else _check_beside(out)
    if image is not None:
        check_images([Path(image)])
    target.need(target.export_modules, 'Exporting')
    model: Any = load_detector(options.config, options.checkpoint, 'cpu', options.cfg_options, options.image_size)
    make_folder(out.parent, 'out')
    original = draw_image(np.random.default_rng(0), size=320)[0] if image is None else decode_image(image)
    shown = 'a generated image' if image is None else os.fspath(image)
    block = None if options.keep_shuffle else target.block
    with unfinished_files(out) as unchecked:
        if options.backbone_only:
            return _write_backbone(model.backbone, unchecked, original, shown, block)
        onnx = unchecked.with_name('checked.onnx')
        program = export_detector(model, onnx, original, block, options.batch)
        checked = check_detector(model, onnx, original, shown, options.batch)
        if (differences := target.export(program, unchecked, options)) is not None:
            checked = checked._replace(difference=differences[0], box_difference=differences[1])
        if not target.runs_here:
            onnx.unlink()
            return checked
        detector = ExportedDetector(unchecked, target=target.name)
        if options.precision != 'fp32' and differences is None:
            images = [original] if options.data is None else calibration_images(options.data)[:16]
            checked = checked._replace(
                agreement=_agreement(ExportedDetector(onnx), detector, images, options.precision, target.name)
            )
        onnx.unlink()
        return checked._replace(matched=matched_detections(model, detector, original))


def _agreement(
    full: ExportedDetector, low: ExportedDetector, images: list[np.ndarray], precision: str, target: str
) -> float:
    """Share of detections in lower precision that match those in single precision.

    Raises:
        UserError: If it is too small.
    """
    share = agreement(full.detect(images), low.detect(images))
    if share < LEAST_AGREEMENT:
        amx = (
            ' onnxruntime computes 8 bits wrongly on some processors with AMX '
            '(github.com/microsoft/onnxruntime/issues/26324).'
        )
        raise UserError(
            f'precision={precision} detects other objects than fp32 on this machine: {share:.0%} of the detections '
            f'match, expected {LEAST_AGREEMENT:.0%} or more. The file was not written. Set `data` to images like those '
            f'that the detector will process, or export in another precision.'
            f'{amx if (precision, target) == ("int8", "onnxruntime") else ""}'
        )
    return share


def _check_folder(out: Path) -> None:
    """Raise a :class:`UserError` if it exists and is not an empty folder."""
    if out.is_dir() and not any(out.iterdir()):
        out.rmdir()
    if out.exists():
        raise UserError(f'`out` already exists: {out}. Choose a new folder, or delete it.')


def _check_beside(out: Path) -> None:
    """Raise a :class:`UserError` if the additional files of ``out`` would replace files that do not belong to it."""
    about, weights = out.with_suffix('.json'), ('.xml', '.param')
    others = [out.with_suffix(suffix) for suffix in weights if out.suffix in weights and suffix != out.suffix]
    if other := next((other for other in others if other.exists()), None):
        raise UserError(
            f'{out}: its weights would replace {out.with_suffix(".bin")}, the weights of {other}. Choose another name.'
        )
    if out.suffix == '.param' and about.exists() and MADE_BY not in about.read_text(errors='replace'):
        raise UserError(f'{out}: {about} exists and was not made by snv2 export. Choose another name.')


def _check_precision(target: Target, options: ExportOptions) -> None:
    if options.precision == 'fp32' or (options.precision in target.precisions and not options.backbone_only):
        return
    others = [f'{other.name} {" and ".join(other.precisions)}' for other in TARGETS.values()]
    raise UserError(
        f'precision={options.precision} is not supported for {target.name}'
        f'{" with `backbone_only`" if options.backbone_only else ""}: {", ".join(others)}.'
    )


def _check_batch(target: Target, options: ExportOptions) -> None:
    if options.batch > 1 and options.backbone_only:
        raise UserError(f'batch={options.batch} is not needed: a backbone takes any number of images. Remove `batch`.')
    if options.batch > 1 and not target.batches:
        raise UserError(
            f'batch={options.batch} is not supported for {target.name}: '
            f'{" and ".join(other.name for other in TARGETS.values() if other.batches)} support batches.'
        )


def _write_backbone(backbone: Any, out: Path, original: np.ndarray, shown: str, block: int | None) -> Checked:
    x = torch.from_numpy(original).permute(2, 0, 1)[None].float() / 255
    export_backbone(backbone if block is None else shuffle_free(backbone, block=block), out, x)
    # Two images of another size than in the trace.
    x = torch.cat((x, x.flip(3)))[..., : max(x.shape[2] * 3 // 4, 1), :]
    with torch.no_grad():
        expected = [feature.numpy() for feature in backbone(x)]
    return Checked(shown, 0, check_features(session(out).run(None, {'x': x.numpy()}), expected), 0.0)


def export_detector(model: Any, out: Path, original: np.ndarray, block: int | None, batch: int = 1) -> Program:
    """Write a detector with its ``cfg`` and ``dataset_meta`` as an ONNX graph.

    Args:
        model: In eval mode, on the CPU.
        out: File to write.
        original: ``(H, W, 3)`` uint8, the example input of the trace.
        block: See :func:`.shuffle_free`; None keeps the backbone unchanged.
        batch: Batch size.
    """
    if block is not None and isinstance(model.backbone, ShuffleNetV2):
        model = shuffle_free_detector(model, block=block)
    resize, center_pad = resize_and_padding(model.cfg)
    graph = DetectionGraph(model, center_pad, batch).eval()
    about = {MADE_BY: __version__, 'resize': json.dumps(resize._asdict()), 'batch': str(batch)}
    about |= {key: json.dumps(value) for key, value in model.dataset_meta.items() if key in ('classes', 'category_ids')}
    image, at = torch.from_numpy(resize(original)), int(batch > 1)
    program = Program(graph, torch.stack([image] * batch) if batch > 1 else image, about, out)
    with torch.no_grad():
        graph(program.image)  # sets output_names and part_names
    write_graph(
        graph,
        program.image,
        out,
        {'image': {at: 'height', at + 1: 'width'}},
        {name: {at: 'found'} for name in graph.output_names},
        about,
        graph.part_names,
    )
    return program


def export_backbone(backbone: nn.Module, out: Path, x: torch.Tensor) -> None:
    """Write a backbone as a graph from ``x``, normalized images ``(N, 3, H, W)``, to ``feature0``, ``feature1``, ..."""
    with torch.no_grad():
        names = [f'feature{level}' for level in range(len(backbone(x)))]
    write_graph(
        backbone,
        x,
        out,
        {'x': {0: 'batch', 2: 'height', 3: 'width'}},
        {name: {0: 'batch'} for name in names},
        {MADE_BY: __version__},
    )
