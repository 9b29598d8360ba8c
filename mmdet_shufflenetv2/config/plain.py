"""Load untrusted configs (JSON, YAML, or the text inside a checkpoint) without running code.

A Python config is a program. MMEngine's JSON and YAML configs can run code, too: YAML can build any Python object,
``type`` can be any dotted name to import and call, ``custom_imports`` imports modules, and ``_base_`` can name a Python
file. All of this is rejected here. A type must be registered already and must not run its arguments. No entry may name
a file that contains code. A base must be JSON, YAML, or a config of this project or of MMDetection.

A checkpoint contains its config as Python source. It is parsed but never run. Only literals and ``dict(...)`` are
accepted.
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
# Keys whose value names a class or function that will be built or called.
_NAMES_A_TYPE = re.compile(r'type|constructor|\w+_(type|fn)')
# Registered, but they evaluate, import or unpickle their arguments, or read them as a Python config.
_RUNS_ITS_ARGUMENTS = {
    'CameraMotionCompensation',
    'RFSearchHook',
    'MMFullyShardedDataParallel',
    'FSDPStrategy',
    'RefCocoDataset',
    'OpenImagesDataset',
    'KnowledgeDistillationSingleStageDetector',
}
# Files that run code when they are read.
_CODE = ('.py', '.pkl', '.pickle', '.npy', '.npz')
_KEY = re.compile(r'[\w./ -]*')


def load_plain_config(path: Path) -> Config:
    """Load a JSON or YAML config without running code.

    Raises:
        UserError: If it is not JSON or YAML, names a type that is not registered, imports a module, or is based on an
            untrusted Python file.
    """
    if trusted := _trusted(path):  # such as the default config of a command
        return Config.fromfile(trusted)
    entries = _read(path, [])
    _check(entries, path)
    return Config(merge_into(entries, {}), filename=str(path))


def parse_config_text(text: str, path: Path) -> Config:
    """Parse the config text that MMEngine stores in a checkpoint, without running it.

    Args:
        text: Assignments of literals and ``dict(...)``, as ``Config.pretty_text`` writes them.
        path: The checkpoint, for error messages.

    Raises:
        UserError: If the text contains anything else, or entries that :func:`load_plain_config` rejects.
    """
    if len(text) > _MAX_BYTES:
        raise UserError(f'The config in {path} is larger than {_MAX_BYTES // 1_000_000} MB, which no real config is.')
    entries: dict[str, Any] = {}
    try:
        for line in ast.parse(text).body:
            if not isinstance(line, ast.Assign) or len(line.targets) != 1 or not isinstance(line.targets[0], ast.Name):
                raise ValueError(f'line {line.lineno} is not an entry')
            entries[line.targets[0].id] = _literal(line.value)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        problem = ' '.join(str(error).split())[:200]
        raise UserError(f'The config in {path} contains more than plain values: {problem}') from error
    _check(entries, path)
    try:
        return Config(entries, cfg_text=text, filename=str(path.with_suffix('.py')))  # the name of a run's copy of it
    except KeyError as error:  # reserved keys of MMEngine
        raise UserError(f'The config in {path} is invalid: {error}') from error


def _literal(node: ast.AST) -> Any:
    match node:
        case ast.Call(func=ast.Name(id='dict'), args=[], keywords=entries):
            if any(entry.arg is None for entry in entries):
                raise ValueError('** in a dict')
            return {entry.arg: _literal(entry.value) for entry in entries}
        case ast.Call(func=ast.Name(id='dict'), args=[ast.Dict() as entries], keywords=[]):  # keys like 'a.b'
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
    """The entries of a file, merged into those of its bases."""
    if path.suffix not in ('.json', '.yaml', '.yml'):
        raise UserError(f'`no_python_config` accepts only JSON and YAML, but {path} is neither.')
    if path.resolve() in seen or len(seen) > _MAX_BASES:
        raise UserError(f'{path}: the bases of this config are circular, or there are more than {_MAX_BASES}.')
    own = _parse(path)
    bases = own.pop('_base_', [])
    merged: dict[str, Any] = {}
    for base in bases if isinstance(bases, list) else [bases]:
        if not isinstance(base, str):
            raise UserError(f'{path}: _base_ must be a file or a list of files.')
        trusted = _trusted(Path(base) if base.startswith(_MMDET) else path.parent / base)
        entries = Config.fromfile(trusted).to_dict() if trusted else _read(path.parent / base, [*seen, path.resolve()])
        if twice := merged.keys() & entries.keys():
            raise UserError(f'{path}: duplicate entries in its bases: {", ".join(sorted(twice))}.')
        merged |= entries
    try:
        return merge_into(own, merged)
    except (TypeError, KeyError, IndexError) as error:
        raise UserError(f'{path} does not match its base: {error}') from error


def _trusted(path: Path) -> Path | None:
    """The path of a Python config of this project or of the installed MMDetection; None for any other path."""
    if str(path).startswith(_MMDET):
        folder = Path(get_installed_path('mmdet')) / '.mim' / 'configs'
        path = folder / str(path).removeprefix(_MMDET)
    else:
        folder = project_configs()
    return path.resolve() if path.suffix == '.py' and path.resolve().is_relative_to(folder.resolve()) else None


class _YamlWithoutAliases(yaml.SafeLoader):
    """Loads plain data without aliases, which can expand a few lines to more than fits in memory."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError('aliases are not allowed here')
        return super().compose_node(parent, index)


# MMEngine's own dumps contain tuples.
_YamlWithoutAliases.add_constructor(
    'tag:yaml.org,2002:python/tuple', lambda loader, node: tuple(loader.construct_sequence(node, deep=True))
)


def _parse(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise UserError(f'{path} is larger than {_MAX_BYTES // 1_000_000} MB, which no real config is.')
        text = path.read_text(encoding='utf-8')
        entries = json.loads(text) if path.suffix == '.json' else yaml.load(text, _YamlWithoutAliases)
    except FileNotFoundError as error:
        raise UserError(f'Config not found: {path}.') from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        problem = ' '.join(str(error).split())[:200]
        raise UserError(f'{path} cannot be read: {problem}') from error
    if not isinstance(entries, dict):
        raise UserError(f'{path} is not a config: expected a mapping, got a {type(entries).__name__}.')
    return entries


def _check(entries: Any, path: Path) -> None:
    """Reject entries that would import or call anything that is not registered."""
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
            # MMEngine dumps the config as Python source and does not escape keys.
            if isinstance(key, str) and not _KEY.fullmatch(key):
                raise UserError(f'{path}: {key[:100]!r} is not a valid key.')
            if isinstance(value, str) and value.lower().endswith(_CODE):
                raise UserError(f'{path}: {key}: {value[:100]!r} is a file that could run code when it is loaded.')
            if isinstance(value, str) and _NAMES_A_TYPE.fullmatch(str(key)):
                _check_type(key, value, registered, path)
    imports = entries.get('custom_imports') or {}
    names = imports.get('imports', []) if isinstance(imports, dict) else imports
    if untrusted := [name for name in ([names] if isinstance(names, str) else names) if name not in _PACKAGES]:
        raise UserError(f'{path} imports untrusted modules: {", ".join(map(str, untrusted))}.')
    if entries.get('default_scope', 'mmdet') not in _PACKAGES:
        raise UserError(f'{path}: default_scope must be one of {", ".join(_PACKAGES)}.')


def _check_type(key: str, value: str, registered: dict[str, Any], path: Path) -> None:
    scope, _, name = value.rpartition('.')
    named = key in ('type', 'constructor', 'runner_type') or scope
    if scope not in ('', *_PACKAGES) or (named and name not in registered):
        raise UserError(f'{path}: {key}: {value[:100]!r} is not registered.')
    if _runs_its_arguments(registered.get(name)):
        raise UserError(f'{path}: {key}: {name} can run code from a config or a file.')


def _runs_its_arguments(registered: Any) -> bool:
    return bool(_RUNS_ITS_ARGUMENTS & {base.__name__ for base in getattr(registered, '__mro__', ())})


def _registered() -> dict[str, Any]:
    """The content of every registry by name, including registries that are filled on first use."""
    # RoI pooling and NMS are looked up by name in mmcv.ops; mmcv evaluates the name of the latter.
    found = {name: each for name, each in vars(mmcv.ops).items() if not name.startswith('_')}
    for module in (mmengine.registry, mmdet.registry):
        for registry in vars(module).values():
            if isinstance(registry, Registry):
                registry.import_from_location()
                found |= registry.module_dict
    return found
