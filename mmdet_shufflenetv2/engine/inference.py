"""Detections on images: drawn, and as one COCO-format results file."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mmcv
import torch
from mmdet.apis import inference_detector
from mmdet.registry import MODELS, VISUALIZERS
from mmdet.utils import register_all_modules
from mmengine.model import revert_sync_batchnorm
from mmengine.runner.checkpoint import _load_checkpoint
from torchvision.datasets.folder import IMG_EXTENSIONS
from torchvision.ops import clip_boxes_to_image
from tqdm import tqdm

from ..datasets import check_images
from ..errors import UserError
from ..nanodet.checkpoint_layout import is_nanodet
from ..own_data.checkpoint import config_meta, follow_checkpoint
from .config import CONFIG_SUFFIXES, load_config, project_config, require_detector
from .tool import registry_errors

__all__ = ['category_ids', 'collect_images', 'infer', 'load_detector', 'split_arguments']

RESULTS = 'results.json'

#: The config of a NanoDet checkpoint for which none is named. The files for 320 and 416 pixels hold the same tensors.
NANODET_CONFIG = 'nanodet_m_snv2'

# COCO numbers its 80 categories from 1 to 90 with gaps; these numbers are not used.
_COCO_GAPS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)


def split_arguments(arguments: Sequence[str]) -> tuple[str | None, str, list[str]]:
    """``[CONFIG] CHECKPOINT IMAGE_OR_DIR...`` as config (None where it is left out), checkpoint and inputs.

    Raises:
        UserError: If one of them is missing.
    """
    named = Path(arguments[0]).suffix in CONFIG_SUFFIXES
    config, rest = (arguments[0], arguments[1:]) if named else (None, arguments)
    if len(rest) < 2:
        raise UserError(f'Got only {" ".join(arguments)}; expected CONFIG CHECKPOINT IMAGE_OR_DIR..., where CONFIG may '
                        f'be left out for a NanoDet checkpoint.')
    return config, rest[0], list(rest[1:])


def infer(config: str | os.PathLike | None, checkpoint: str | os.PathLike, inputs: Sequence[str | os.PathLike],
          out_dir: str | os.PathLike, *, score_thr: float = 0.3, device: str | None = None, shuffle_free: bool = False,
          cfg_options: dict[str, Any] | None = None) -> Path:
    """Detect objects in images as ``tools/infer.py`` does.

    Args:
        config: Config file. None for a checkpoint in NanoDet's key layout: ``configs/nanodet_m_snv2.py``, 320 pixels.
        checkpoint: Weights of that config's model.
        inputs: Image files and folders of images.
        out_dir: Gets ``vis/`` with drawn images, and ``results.json``: a list of detections as COCO's evaluation reads
            them (``image_id``, ``category_id``, ``bbox`` as x, y, width, height in pixels, ``score``) with
            ``file_name`` and ``category`` added. An image named by a number, as COCO's are, has that ``image_id``;
            others are counted from 1.
        score_thr: Detections below it are not drawn; the file has all.
        device: ``cpu``, ``cuda:0``; by default a GPU if there is one.
        shuffle_free: Run the backbone in its shuffle-free form, see :mod:`..deploy`.
        cfg_options: Config entries to override.

    Returns:
        Path of ``results.json``.

    Raises:
        UserError: If an image, the config or the checkpoint does not do.
    """
    paths = collect_images(inputs)
    check_images(paths)
    model = load_detector(config, checkpoint, device, cfg_options)
    if shuffle_free:
        from ..deploy import shuffle_free_detector  # imports this module in its turn
        model = shuffle_free_detector(model)
    classes = model.dataset_meta['classes']
    visualizer = VISUALIZERS.build(dict(type='DetLocalVisualizer', name=f'infer-{id(model)}'))
    visualizer.dataset_meta = model.dataset_meta
    out_dir = Path(out_dir)
    numbers, ids = _image_ids(paths), category_ids(classes)
    results: list[dict[str, Any]] = []
    for number, path, name in tqdm(list(zip(numbers, paths, _picture_names(paths))), desc='images', unit='img'):
        sample = inference_detector(model, str(path))
        # A detector that pads its input on all sides may find a border of an object outside the image.
        sample.pred_instances.bboxes = clip_boxes_to_image(sample.pred_instances.bboxes, sample.ori_shape)
        visualizer.add_datasample(
            path.name, mmcv.imread(str(path), channel_order='rgb'), sample, draw_gt=False, pred_score_thr=score_thr,
            out_file=str(out_dir / 'vis' / name))
        found = sample.pred_instances.cpu().numpy()
        for (x1, y1, x2, y2), score, label in zip(found.bboxes.tolist(), found.scores.tolist(), found.labels.tolist()):
            results.append(dict(image_id=number, category_id=ids[label], bbox=[x1, y1, x2 - x1, y2 - y1], score=score,
                                file_name=path.name, category=classes[label]))
    out_dir.mkdir(parents=True, exist_ok=True)
    (out_dir / RESULTS).write_text(json.dumps(results))
    return out_dir / RESULTS


def load_detector(config: str | os.PathLike | None, checkpoint: str | os.PathLike, device: str | None = None,
                  cfg_options: dict[str, Any] | None = None) -> torch.nn.Module:
    """A detector with its weights, in eval mode; arguments as :func:`infer` has them.

    Classes and image size are those that the checkpoint was trained on, whatever the config says.

    Returns:
        The detector, with its config as ``cfg`` and its classes in ``dataset_meta``.

    Raises:
        UserError: If config, checkpoint or device do not do.
    """
    device = device or ('cuda:0' if torch.cuda.is_available() else 'cpu')
    # A named config that does not do is said before the checkpoint is looked at.
    cfg = load_config(config, cfg_options) if config is not None else None
    loaded = _load_checkpoint(str(checkpoint), map_location='cpu')
    if not isinstance(loaded, dict):
        raise UserError(f'{checkpoint} holds a {type(loaded).__name__}, not the weights of a model.')
    state_dict = loaded.get('state_dict', loaded)
    if cfg is None:
        cfg = load_config(_config_of(checkpoint, state_dict), cfg_options)
    register_all_modules(init_default_scope=True)
    require_detector(cfg, 'Boxes are drawn by a detector')
    follow_checkpoint(cfg, loaded)
    cfg.model.backbone.init_cfg = None  # the checkpoint has all weights
    with registry_errors():
        # Not mmdet's init_detector: it only warns where weights are missing.
        model = revert_sync_batchnorm(MODELS.build(cfg.model)).eval()
    try:
        model.load_state_dict(state_dict)
    except (RuntimeError, AttributeError, TypeError) as error:
        raise UserError(f'{checkpoint} holds the weights of another model than the config\'s:\n'
                        f'{" ".join(str(error).split())[:300]}') from error
    model.cfg = cfg
    model.dataset_meta = config_meta(cfg) | (loaded.get('meta', {}).get('dataset_meta') or {})
    try:
        return model.to(device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f'--device {device} cannot be used: {str(error).splitlines()[0]}') from error


def _config_of(checkpoint: str | os.PathLike, state_dict: Any) -> Path:
    if not isinstance(state_dict, dict) or not is_nanodet(state_dict):
        raise UserError(f'{checkpoint} is no checkpoint of NanoDet, so its config has to be named: '
                        f'infer.py CONFIG {checkpoint} IMAGE_OR_DIR...')
    return project_config(NANODET_CONFIG)


def collect_images(inputs: Sequence[str | os.PathLike]) -> list[Path]:
    """Image files among ``inputs`` and in the folders among them, in order, each once.

    Raises:
        UserError: If one is neither file nor folder, or if there is no image at all.
    """
    paths: dict[Path, None] = {}
    for entry in map(Path, inputs):
        if entry.is_dir():
            paths.update(dict.fromkeys(p for p in sorted(entry.iterdir()) if p.suffix.lower() in IMG_EXTENSIONS))
        elif entry.is_file():
            paths[entry] = None
        else:
            raise UserError(f'There is no image or folder {entry}.')
    if not paths:
        raise UserError(f'There is no image in {", ".join(map(str, inputs))}. Looked for {", ".join(IMG_EXTENSIONS)}.')
    return list(paths)


def category_ids(classes: Sequence[str]) -> list[int]:
    """The ``category_id`` of each class: COCO's own numbers for its 80 classes, else 1, 2, 3, ..."""
    from mmdet.datasets import CocoDataset
    if tuple(classes) == CocoDataset.METAINFO['classes']:
        return [number for number in range(1, 91) if number not in _COCO_GAPS]
    return list(range(1, len(classes) + 1))


def _image_ids(paths: Sequence[Path]) -> list[int]:
    if all(path.stem.isdecimal() for path in paths) and len({int(path.stem) for path in paths}) == len(paths):
        return [int(path.stem) for path in paths]
    return list(range(1, len(paths) + 1))


def _picture_names(paths: Sequence[Path]) -> list[str]:
    """A file name for each drawn image; images of the same name from several folders are numbered."""
    seen: dict[str, int] = {}
    names = []
    for path in paths:
        seen[path.name] = seen.get(path.name, 0) + 1
        names.append(path.name if seen[path.name] == 1 else f'{path.stem}_{seen[path.name]}{path.suffix}')
    return names
