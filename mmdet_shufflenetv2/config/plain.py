"""Configs that are data: JSON or YAML from people whose code one would not run.

A Python config is a program. MMEngine reads JSON and YAML, too, but it has YAML build any Python object, takes any
dotted name after ``type`` for something to import and call, imports what ``custom_imports`` says, and runs a Python
file that ``_base_`` names. Here none of that is possible: a type must be one that is registered already and does not
itself run what it is given, no file that holds code may be named, and a base must be JSON, YAML or a config of this
project or of MMDetection.

A checkpoint holds its config as the text of a Python program. That is never run: it is parsed, and what is no literal
or ``dict(...)`` is refused.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import mmcv.ops
import mmdet.registry
import mmengine.registry
import yaml
from mmengine.config import Config
from mmengine.registry import Registry
from mmengine.utils import get_installed_path

from ..compat.private import merge_into
from ..utils.errors import UserError
from .project import project_configs

__all__ = ['load_plain_config', 'parse_config_text']

_MAX_BYTES = 10_000_000
_MAX_BASES = 20
_MMDET = 'mmdet::'
_PACKAGES = ('mmdet_shufflenetv2', 'mmdet', 'mmengine', 'mmcv')
# Keys whose value is the name of something that will be built or called.
_NAMES_A_TYPE = re.compile(r'type|constructor|\w+_(type|fn)')
# Registered, but what they are given they evaluate, look up by a dotted name, unpickle, or read as a Python config.
_RUNS_WHAT_IT_IS_GIVEN = {
    'CameraMotionCompensation', 'RFSearchHook', 'MMFullyShardedDataParallel', 'FSDPStrategy', 'RefCocoDataset',
    'OpenImagesDataset', 'KnowledgeDistillationSingleStageDetector'}
# Files that run code when they are read.
_CODE = ('.py', '.pkl', '.pickle', '.npy', '.npz')
_KEY = re.compile(r'[\w./ -]*')


def load_plain_config(path: Path) -> Config:
    """Read a JSON or YAML config without running anything of it.

    Raises:
        UserError: If it is no JSON or YAML, names a type that is not registered, imports something, or is based on a
            Python file of others.
    """
    if trusted := _trusted(path):  # a tool's default, say
        return Config.fromfile(trusted)
    entries = _read(path, [])
    _check(entries, path)
    return Config(merge_into(entries, {}), filename=str(path))


def parse_config_text(text: str, path: Path) -> Config:
    """A config from the text that MMEngine stores in a checkpoint (``path``), without running anything of it.

    The text holds assignments of literals and ``dict(...)``, as ``Config.pretty_text`` writes them.

    Raises:
        UserError: If there is anything else in it, or what :func:`load_plain_config` refuses.
    """
    if len(text) > _MAX_BYTES:
        raise UserError(f'{path} holds a config of more than {_MAX_BYTES // 1_000_000} MB, which none is.')
    entries: dict[str, Any] = {}
    try:
        for line in ast.parse(text).body:
            if not isinstance(line, ast.Assign) or len(line.targets) != 1 or not isinstance(line.targets[0], ast.Name):
                raise ValueError(f'line {line.lineno} is not an entry')
            entries[line.targets[0].id] = _literal(line.value)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        problem = ' '.join(str(error).split())[:200]
        raise UserError(f'the config in {path} holds more than plain values: {problem}') from error
    _check(entries, path)
    try:
        return Config(entries, cfg_text=text, filename=str(path.with_suffix('.py')))  # a run writes it under that name
    except KeyError as error:  # names that MMEngine keeps for itself
        raise UserError(f'the config in {path} cannot be used: {error}') from error


def _literal(node: ast.AST) -> Any:
    match node:
        case ast.Call(func=ast.Name(id='dict'), args=[], keywords=entries):
            if any(entry.arg is None for entry in entries):
                raise ValueError('** in a dict')
            return {entry.arg: _literal(entry.value) for entry in entries}
        case ast.Call(func=ast.Name(id='dict'), args=[ast.Dict() as entries], keywords=[]):  # names that are no words
            return _literal(entries)
        case ast.Dict(keys=keys, values=values):
            return {ast.literal_eval(key or ''): _literal(value) for key, value in zip(keys, values)}
        case ast.List(elts=entries):
            return [_literal(entry) for entry in entries]
        case ast.Tuple(elts=entries):
            return tuple(_literal(entry) for entry in entries)
        case ast.Name(id='inf' | 'nan' as name):
            return float(name)
    return ast.literal_eval(node)


def _read(path: Path, seen: list[Path]) -> dict[str, Any]:
    """A file's entries, laid over those of its bases."""
    if path.suffix not in ('.json', '.yaml', '.yml'):
        raise UserError(f'`no_python_config` takes JSON and YAML, and {path} is neither.')
    if path.resolve() in seen or len(seen) > _MAX_BASES:
        raise UserError(f'{path}: the bases of this config go in a circle, or there are more than {_MAX_BASES}.')
    own = _parse(path)
    bases = own.pop('_base_', [])
    merged: dict[str, Any] = {}
    for base in bases if isinstance(bases, list) else [bases]:
        if not isinstance(base, str):
            raise UserError(f'{path}: _base_ must be a file or a list of files.')
        trusted = _trusted(Path(base) if base.startswith(_MMDET) else path.parent / base)
        entries = Config.fromfile(trusted).to_dict() if trusted else _read(path.parent / base, [*seen, path.resolve()])
        if twice := merged.keys() & entries.keys():
            raise UserError(f'{path}: more than one of its bases has {", ".join(sorted(twice))}.')
        merged |= entries
    try:
        return merge_into(own, merged)
    except (TypeError, KeyError, IndexError) as error:
        raise UserError(f'{path} does not fit its base: {error}') from error


def _trusted(path: Path) -> Path | None:
    """The Python config that a path means, if it is this project's or an installed MMDetection's."""
    if str(path).startswith(_MMDET):
        folder = Path(get_installed_path('mmdet')) / '.mim' / 'configs'
        path = folder / str(path).removeprefix(_MMDET)
    else:
        folder = project_configs()
    return path.resolve() if path.suffix == '.py' and path.resolve().is_relative_to(folder.resolve()) else None


class _YamlWithoutAliases(yaml.SafeLoader):
    """Plain data only, and each of it once: aliases can unfold a few lines into more than fits in memory."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError('aliases are not allowed here')
        return super().compose_node(parent, index)


# MMEngine's own dumps hold tuples.
_YamlWithoutAliases.add_constructor(
    'tag:yaml.org,2002:python/tuple', lambda loader, node: tuple(loader.construct_sequence(node, deep=True)))


def _parse(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise UserError(f'{path} is larger than {_MAX_BYTES // 1_000_000} MB, which no config is.')
        text = path.read_text(encoding='utf-8')
        entries = json.loads(text) if path.suffix == '.json' else yaml.load(text, _YamlWithoutAliases)
    except FileNotFoundError as error:
        raise UserError(f'There is no config {path}.') from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        problem = ' '.join(str(error).split())[:200]
        raise UserError(f'{path} cannot be read: {problem}') from error
    if not isinstance(entries, dict):
        raise UserError(f'{path} is no config: expected entries with names.')
    return entries


def _check(entries: Any, path: Path) -> None:
    """Refuse what would import or call something that is not registered."""
    pending, registered = [entries], _registered()
    while pending:
        node = pending.pop()
        if isinstance(node, (list, tuple)):
            pending += node
        if not isinstance(node, dict):
            continue
        pending += node.values()
        if node.get('_scope_', 'mmdet') not in _PACKAGES:
            raise UserError(f'{path}: _scope_ must be one of {", ".join(_PACKAGES)}.')
        for key, value in node.items():
            # MMEngine writes the config down as Python without quoting these.
            if isinstance(key, str) and not _KEY.fullmatch(key):
                raise UserError(f'{path}: {key[:100]!r} is no name of an entry.')
            if isinstance(value, str) and value.lower().endswith(_CODE):
                raise UserError(f'{path}: {key}: {value[:100]!r} is a file that runs code when it is read.')
            if isinstance(value, str) and _NAMES_A_TYPE.fullmatch(str(key)):
                _check_type(key, value, registered, path)
    imports = entries.get('custom_imports') or {}
    names = imports.get('imports', []) if isinstance(imports, dict) else imports
    if strangers := [name for name in ([names] if isinstance(names, str) else names) if name not in _PACKAGES]:
        raise UserError(f'{path} imports {", ".join(map(str, strangers))}, which is not imported here.')
    if entries.get('default_scope', 'mmdet') not in _PACKAGES:
        raise UserError(f'{path}: default_scope must be one of {", ".join(_PACKAGES)}.')


def _check_type(key: str, value: str, registered: dict[str, Any], path: Path) -> None:
    scope, _, name = value.rpartition('.')
    named = key in ('type', 'constructor', 'runner_type') or scope
    if scope not in ('', *_PACKAGES) or (named and name not in registered):
        raise UserError(f'{path}: {key}: {value[:100]!r} is no registered name.')
    if _runs_what_it_is_given(registered.get(name)):
        raise UserError(f'{path}: {key}: {name} can run code that a config or a file holds.')


def _runs_what_it_is_given(registered: Any) -> bool:
    return bool(_RUNS_WHAT_IT_IS_GIVEN & {base.__name__ for base in getattr(registered, '__mro__', ())})


def _registered() -> dict[str, Any]:
    """What is in every registry by name, in those that fill themselves when first asked, too."""
    # Kinds of RoI pooling and of non-maximum suppression are looked up there; mmcv evaluates the name of the latter.
    found = {name: each for name, each in vars(mmcv.ops).items() if not name.startswith('_')}
    for module in (mmengine.registry, mmdet.registry):
        for registry in vars(module).values():
            if isinstance(registry, Registry):
                registry.import_from_location()
                found |= registry.module_dict
    return found
