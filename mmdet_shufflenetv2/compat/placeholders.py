"""Replace placeholders for mmcv's operators in modules that were imported before this package."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from .patches import install

__all__ = ['replace_placeholders']


def replace_placeholders() -> None:
    """Replace placeholders for mmcv's operators in all imported modules of mmdet and mmcv.

    Modules in forks of MMDetection catch the failed import of an operator and define functions and classes that raise
    an error when they are called.

    Raises:
        ImportError: If a class is derived from such a placeholder, which cannot be changed.
    """
    # mmcv before mmdet, which imports operators from it.
    modules = [module for name, module in sorted(sys.modules.items()) if name.split('.')[0] in ('mmcv', 'mmdet')]
    for module in modules:
        for source, operator, name in _optional_operators(module):
            placeholder, real = vars(module).get(name), getattr(import_module(source), operator, None)
            if real in (None, placeholder):
                continue
            if isinstance(placeholder, type) and placeholder.__subclasses__():
                raise ImportError(
                    f"{module.__name__} was imported before mmdet_shufflenetv2, so it lacks mmcv's "
                    f'operators. Import mmdet_shufflenetv2 first, or run an unchanged script with: '
                    f'python -m mmdet_shufflenetv2 run SCRIPT'
                )
            _replace(module, name, real)
            for other in modules if placeholder is not None else ():
                for key in [key for key, value in vars(other).items() if value is placeholder]:
                    _replace(other, key, real)


def _replace(module: ModuleType, name: str, operator: Any) -> None:
    install('mmcv.*, mmdet.*: placeholders of operators', setattr, module, name, operator)


def _optional_operators(module: ModuleType) -> Iterator[tuple[str, str, str]]:
    """Yield the imports from mmcv in ``try`` blocks of a module: source module, name there, and name in this module."""
    file = getattr(module, '__file__', None)
    text = Path(file).read_text(encoding='utf-8') if file and file.endswith('.py') else ''
    for statement in ast.parse(text).body if 'from mmcv' in text else ():
        for line in statement.body if isinstance(statement, ast.Try) else ():
            if isinstance(line, ast.ImportFrom) and line.module and line.module.startswith('mmcv.'):
                yield from ((line.module, alias.name, alias.asname or alias.name) for alias in line.names)
