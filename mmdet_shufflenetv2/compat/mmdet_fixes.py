"""What MMDetection 3.3 and pycocotools break for a light detector, and for data that came from elsewhere."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ['apply_fixes', 'replace_placeholders']


def apply_fixes() -> None:
    """Mend what is broken; where a later release has mended it, nothing is changed.

    ``SSDHead`` computes its loss by itself and has no ``loss_cls``, but the prediction that it inherits asks for one,
    so no SSD can predict.

    pycocotools' evaluation takes an annotation's id of 0 for "not found", so the first object of a file that counts
    from 0, as Roboflow's do, is missed however well it was found. MMDetection's ``COCO``, which every evaluation here
    reads its annotations through, gives that object another id.
    """
    from mmdet.datasets.api_wrappers import COCO
    from mmdet.models.dense_heads import SSDHead
    if not hasattr(SSDHead, 'loss_cls'):
        SSDHead.loss_cls = None
    if 'createIndex' not in vars(COCO):
        COCO.createIndex = _create_index


def _create_index(coco: Any) -> None:
    from pycocotools.coco import COCO
    annotations = coco.dataset.get('annotations', [])
    if any(annotation['id'] == 0 for annotation in annotations):
        unused = max(annotation['id'] for annotation in annotations) + 1
        coco.dataset = dict(coco.dataset, annotations=[
            dict(annotation, id=annotation['id'] or unused) for annotation in annotations])
    COCO.createIndex(coco)


def replace_placeholders() -> None:
    """Give mmcv's operators to what was imported of mmdet and mmcv before they were served.

    The fork of MMDetection catches the error of such an import and defines functions and classes in the operators'
    place that raise when they are called, each module its own.

    Raises:
        ImportError: If a class is derived from such a placeholder, which cannot be undone.
    """
    # mmcv first: it lacks an operator that mmdet takes from there.
    modules = [module for name, module in sorted(sys.modules.items()) if name.split('.')[0] in ('mmcv', 'mmdet')]
    for module in modules:
        for source, operator, name in _optional_operators(module):
            placeholder, real = vars(module).get(name), getattr(import_module(source), operator, None)
            if real in (None, placeholder):
                continue
            if isinstance(placeholder, type) and placeholder.__subclasses__():
                raise ImportError(f'{module.__name__} was imported before mmdet_shufflenetv2, without the operators of '
                                  f'mmcv. Import mmdet_shufflenetv2 first. A script of others: python -m '
                                  f'mmdet_shufflenetv2 run SCRIPT')
            setattr(module, name, real)
            for other in modules if placeholder is not None else ():
                for key in [key for key, value in vars(other).items() if value is placeholder]:
                    setattr(other, key, real)


def _optional_operators(module: ModuleType) -> Iterator[tuple[str, str, str]]:
    """What a module imports of mmcv within a ``try``: where from, its name there and its name here."""
    file = getattr(module, '__file__', None)
    text = Path(file).read_text(encoding='utf-8') if file and file.endswith('.py') else ''
    for statement in ast.parse(text).body if 'from mmcv' in text else ():
        for line in statement.body if isinstance(statement, ast.Try) else ():
            if isinstance(line, ast.ImportFrom) and str(line.module).startswith('mmcv.'):
                yield from ((line.module, alias.name, alias.asname or alias.name) for alias in line.names)
