"""Weights out of their wrappers: the entry of a checkpoint that holds them, and the prefixes of their names."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable
from typing import Any

from mmengine.logging import print_log

from .records import WEIGHTS

__all__ = ['PREFIXES', 'find_weights', 'strip_prefixes', 'unwrap_weights']

#: What stands in front of a model's names: of DistributedDataParallel, torch.compile, PyTorch Lightning. The average
#: of the weights over a training comes before the weights of its last step.
PREFIXES = ('module.', '_orig_mod.', 'avg_model.', 'model.')


def find_weights(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The state dict of a checkpoint: MMEngine's, an average (EMA), a model's; the checkpoint itself if it has none."""
    for key in WEIGHTS:
        weights = checkpoint.get(key)
        if isinstance(weights, dict):
            if isinstance(weights.get('module'), dict):  # an average that counts its updates
                key, weights = f'{key}.module', weights['module']
            if key != 'state_dict':
                print_log(f'Weights are taken from {key!r} of the checkpoint.', logger='current')
            return weights
    return checkpoint


def strip_prefixes(names: Iterable[str], own: Collection[str] = (), prefixes: Iterable[str] = PREFIXES
                   ) -> tuple[dict[str, str], list[str]]:
    """Names without the wrappers' prefixes.

    Args:
        names: Of weights in a file. Where some have a prefix, the others are left out.
        own: Names of the model. A prefix that one of these has is the model's own and is kept.
        prefixes: What may be taken off, each as often as it stands there; the first that is found counts.

    Returns:
        Each name's original name, and a note for each prefix that was taken off.
    """
    inner, notes = {name: name for name in names}, []
    prefixes = [prefix for prefix in prefixes if not any(name.startswith(prefix) for name in own)]
    while prefix := next((p for p in prefixes if any(name.startswith(p) for name in inner)), None):
        others = sorted({name.split('.')[0] for name in inner if not name.startswith(prefix)})
        inner = {name.removeprefix(prefix): given for name, given in inner.items() if name.startswith(prefix)}
        notes.append(f'taken from {prefix}*' + (f', not from {", ".join(others)}' if others else ''))
    return inner, notes


def unwrap_weights(checkpoint: dict[str, Any], own: Collection[str] = ()) -> dict[str, Any]:
    """A model's weights under its own names, as far as wrappers changed these; the log says what was taken.

    Args:
        checkpoint: As it was loaded, or a state dict.
        own: As :func:`strip_prefixes` has it.
    """
    weights = find_weights(checkpoint)
    names, notes = strip_prefixes([name for name in weights if isinstance(name, str)], own)
    if not notes:
        return weights
    print_log(f'Weights: {"; ".join(notes)}', logger='current')
    unwrapped = OrderedDict((name, weights[given]) for name, given in names.items())
    # Versions of layers, by the layer's name; layers read weights of an older version in another way.
    name, given = next(iter(names.items()))
    wrapper = given.removesuffix(name)
    unwrapped._metadata = {f'{layer}.'.removeprefix(wrapper).removesuffix('.'): versions
                           for layer, versions in getattr(weights, '_metadata', {}).items()
                           if f'{layer}.'.startswith(wrapper)}
    return unwrapped
