"""Merge ``cfg_options`` into a config, and reject entries that are probably typing errors."""

from __future__ import annotations

import difflib
import inspect
from typing import Any

from mmdet import registry as r
from mmengine.config import Config
from mmengine.runner import Runner

from ..utils.errors import UserError

__all__ = ['merge_cfg_options']

# The registries of the classes that a config names.
_REGISTRIES = (
    r.MODELS,
    r.DATASETS,
    r.HOOKS,
    r.LOOPS,
    r.METRICS,
    r.OPTIM_WRAPPERS,
    r.OPTIMIZERS,
    r.PARAM_SCHEDULERS,
    r.TRANSFORMS,
)


def merge_cfg_options(cfg: Config, cfg_options: dict[str, Any], path: object) -> None:
    """Merge ``cfg_options``, values by dotted key, into a config. ``path`` is its file, for error messages.

    Raises:
        UserError: If a key looks like a misspelled one, if a number is replaced by text, or if an entry does not fit.
    """
    _refuse_near_misses(cfg, cfg_options)
    _refuse_words_for_numbers(cfg, cfg_options)
    try:
        cfg.merge_from_dict(cfg_options)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise UserError(f'`cfg_options` does not match {path}: {error}') from error


def _refuse_near_misses(cfg: Config, options: dict[str, Any]) -> None:
    """Reject a new key that is similar to a known key: it is probably misspelled and would be ignored silently."""
    for option in options:
        holder: Any = cfg
        for number, part in enumerate(parts := option.split('.')):
            if isinstance(holder, (list, tuple)):
                if not part.isdecimal() or int(part) >= len(holder):
                    raise UserError(
                        f'`cfg_options` {option}: {".".join(parts[:number])} is a list of {len(holder)}; '
                        f'expected an index from 0 to {len(holder) - 1}, got {part}.'
                    )
                holder = holder[int(part)]
                continue
            if not isinstance(holder, (Config, dict)) or (number and parts[number - 1] == 'custom_keys'):
                break
            if part not in holder:
                accepted = _accepted(holder, top=not number)
                known = {name for name in (*holder, *accepted) if _letters(name) != _letters(part)}
                near = [] if part in accepted else difflib.get_close_matches(part, sorted(known), n=1, cutoff=0.8)
                if near:
                    raise UserError(
                        f'`cfg_options` {option}: unknown entry {".".join(parts[: number + 1])}. Did you '
                        f'mean {".".join([*parts[:number], near[0], *parts[number + 1 :]])}?'
                    )
                break
            holder = holder[part]


def _letters(name: str) -> str:
    return ''.join(letter for letter in name if not letter.isdecimal())


def _accepted(holder: Any, top: bool) -> set[str]:
    """Keys that an entry may have: at the top level the runner's arguments, otherwise those of the class it names."""
    kinds: list[Any] = [Runner] if top else []
    if isinstance(name := holder.get('type'), type):
        kinds = [name]
    elif name and not top:
        kinds = [kind for registry in _REGISTRIES if isinstance(kind := registry.get(name), type)]
    arguments = {
        name for kind in kinds for base in kind.__mro__[:-1] for name in inspect.signature(base.__init__).parameters
    }
    return arguments | (
        {'tta_model', 'tta_pipeline', 'sync_bn', 'find_unused_parameters', 'custom_imports'}
        if top
        else {'type', '_delete_', '_scope_'}
    )


def _refuse_words_for_numbers(cfg: Config, options: dict[str, Any]) -> None:
    """Reject text where the config has a number, which would fail much later."""
    for key, value in options.items():
        old: Any = cfg
        for part in key.split('.'):
            if isinstance(old, (list, tuple)) and part.isdecimal() and int(part) < len(old):
                old = old[int(part)]
            else:
                old = old.get(part) if isinstance(old, (Config, dict)) else None
        is_number = isinstance(old, (int, float)) and not isinstance(old, bool)
        if is_number and isinstance(value, str) and value != 'dynamic':  # a valid loss_scale of AmpOptimWrapper
            raise UserError(f'`cfg_options` {key}={value}: expected a number (currently {old}).')
