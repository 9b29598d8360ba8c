"""Unwrapping weights: the entry of a checkpoint that contains them, and the prefixes of their keys."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable
from typing import Any

from mmengine.logging import print_log

from .records import WEIGHTS

__all__ = ['PREFIXES', 'find_weights', 'strip_prefixes', 'unwrap_weights']

#: Prefixes that DistributedDataParallel, torch.compile and PyTorch Lightning add to a model's keys. Averaged weights
#: come before those of the last step.
PREFIXES = ('module.', '_orig_mod.', 'avg_model.', 'model.')


def find_weights(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The state dict of a checkpoint: MMEngine's, an average (EMA) or a model's; by default the checkpoint itself."""
    for key in WEIGHTS:
        weights = checkpoint.get(key)
        if isinstance(weights, dict):
            if isinstance(weights.get('module'), dict):  # an average with a counter of its updates
                key, weights = f'{key}.module', weights['module']
            if key != 'state_dict':
                print_log(f'Using the weights in {key!r} of the checkpoint.', logger='current')
            return weights
    return checkpoint


def strip_prefixes(
    names: Iterable[str], own: Collection[str] = (), prefixes: Iterable[str] = PREFIXES
) -> tuple[dict[str, str], list[str]]:
    """Strip the prefixes of wrappers from keys.

    Args:
        names: Keys of weights in a file. If some have a prefix, those without it are left out.
        own: Keys of the model. A prefix of one of these belongs to the model and is kept.
        prefixes: Prefixes to strip, repeatedly; the first one that is found is stripped first.

    Returns:
        Stripped key -> original key, and a note for each prefix that was stripped.
    """
    inner, notes = {name: name for name in names}, []
    prefixes = [prefix for prefix in prefixes if not any(name.startswith(prefix) for name in own)]
    while prefix := next((p for p in prefixes if any(name.startswith(p) for name in inner)), None):
        others = sorted({name.split('.')[0] for name in inner if not name.startswith(prefix)})
        inner = {name.removeprefix(prefix): given for name, given in inner.items() if name.startswith(prefix)}
        notes.append(f'taken from {prefix}*' + (f', not from {", ".join(others)}' if others else ''))
    return inner, notes


def unwrap_weights(checkpoint: dict[str, Any], own: Collection[str] = ()) -> dict[str, Any]:
    """A model's weights without the prefixes of wrappers. The log says which weights are used.

    Args:
        checkpoint: A loaded checkpoint or a state dict.
        own: See :func:`strip_prefixes`.
    """
    weights = find_weights(checkpoint)
    names, notes = strip_prefixes([name for name in weights if isinstance(name, str)], own)
    if not notes:
        return weights
    print_log(f'Weights: {"; ".join(notes)}', logger='current')
    unwrapped = OrderedDict((name, weights[given]) for name, given in names.items())
    # Layer -> its version: layers convert the weights of older versions.
    name, given = next(iter(names.items()))
    wrapper = given.removesuffix(name)
    unwrapped._metadata = {  # type: ignore[attr-defined]  # PyTorch sets it on its state dicts
        f'{layer}.'.removeprefix(wrapper).removesuffix('.'): versions
        for layer, versions in getattr(weights, '_metadata', {}).items()
        if f'{layer}.'.startswith(wrapper)
    }
    return unwrapped
