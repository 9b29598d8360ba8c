"""Reading ShuffleNet V2 weights in the key layouts of other code bases.

Our own layout is torchvision's: ``conv1.0.weight``, ``stage2.0.branch1.0.weight``, ..., ``conv5.1.bias``. Also
supported:

* mmpretrain (``layers.0.0.branch1.0.conv.weight``): https://github.com/open-mmlab/mmpretrain
* ericsun99/Shufflenet-v2-Pytorch (``features.0.banch1.0.weight``, spelled this way)
* megvii-model/ShuffleNet-Series, the authors' (``features.0.branch_main.0.weight``), for ``variant='authors'``

All of them may be part of a larger model (with ``module.``, ``model.`` or ``backbone.`` before every key). The layout
is recognized from the keys. Keys of parts that the backbone does not have (a classifier, the rest of a detector, stages
that are not built) are left out and reported in the log. Any other key that does not match is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

from mmengine.logging import print_log
from torch import nn

from ..utils.errors import UserError
from .unwrap import PREFIXES, strip_prefixes

__all__ = ['convert_state_dict']


class Layout(NamedTuple):
    """The keys of a code base."""

    name: str
    #: Prefix of a key by which the layout is recognized.
    marker: str
    #: Converts a key to ours; returns None for a key that is not part of the layout.
    our_key: Callable[[str], str | None]
    #: Prefixes of the keys of its classifier.
    classifier: tuple[str, ...]


_TENSOR = r'(weight|bias|running_mean|running_var|num_batches_tracked)'
# Any key inside one of our parts, including those of the deep networks: the tensors of a layer depend on conv_cfg,
# norm_cfg and act_cfg. Keys that the backbone does not have are found later, by comparison.
_OWN_KEY = re.compile(r'(conv[156]|stage[2345])\..+')


def _our_key(key: str) -> str | None:
    return key if _OWN_KEY.fullmatch(key) else None


_MMPRETRAIN_STEM = re.compile(rf'(conv1|layers\.3)\.(conv|bn)\.{_TENSOR}')
_MMPRETRAIN_UNIT = re.compile(rf'layers\.([012])\.(\d+)\.branch([12])\.(\d)\.(conv|bn)\.{_TENSOR}')
# Index of mmpretrain's n-th convolution module of a branch in our flat sequence; its norm follows directly.
_MMPRETRAIN_INDICES = {'1': (0, 2), '2': (0, 3, 5)}


def _mmpretrain_key(key: str) -> str | None:
    offset = {'conv': 0, 'bn': 1}
    if match := _MMPRETRAIN_STEM.fullmatch(key):
        part, kind, tensor = match.groups()
        return f'{"conv1" if part == "conv1" else "conv5"}.{offset[kind]}.{tensor}'
    if match := _MMPRETRAIN_UNIT.fullmatch(key):
        stage, unit, branch, module, kind, tensor = match.groups()
        indices = _MMPRETRAIN_INDICES[branch]
        if int(module) < len(indices):
            return f'stage{int(stage) + 2}.{unit}.branch{branch}.{indices[int(module)] + offset[kind]}.{tensor}'
    return None


def _unit_name(unit: int) -> str:
    """Stage and index in it of a unit that is numbered across stages; table 5 has 4, 8 and 4 units per stage."""
    stage, first = next((s, f) for s, f in ((4, 12), (3, 4), (2, 0)) if unit >= f)
    return f'stage{stage}.{unit - first}'


_ERICSUN99_LAYER, _AUTHORS_LAYER = r'banch[12]\.\d', r'branch_(?:main|proj)\.\d'


def _flat_key(layer: str, key: str) -> str | None:
    """Our key for one of a layout that numbers units across stages; ``layer`` is a regular expression."""
    if match := re.fullmatch(rf'features\.(\d+)\.({layer})\.{_TENSOR}', key):
        unit, name, tensor = match.groups()
        return f'{_unit_name(int(unit))}.{name.replace("banch", "branch")}.{tensor}'
    return _our_key(re.sub(r'^conv_last\.', 'conv5.', re.sub(r'^first_conv\.', 'conv1.', key)))


# In the order in which they are tried. Ours comes last, because ericsun99's keys of the stem are the same.
LAYOUTS = (
    Layout('mmpretrain', 'conv1.conv.', _mmpretrain_key, ('head.',)),
    Layout(
        'ericsun99/Shufflenet-v2-Pytorch', 'features.0.banch', partial(_flat_key, _ERICSUN99_LAYER), ('classifier.',)
    ),
    Layout('megvii-model/ShuffleNet-Series', 'first_conv.0.', partial(_flat_key, _AUTHORS_LAYER), ('classifier.',)),
    Layout('torchvision', 'conv1.0.', _our_key, ('fc.',)),
)


def convert_state_dict(backbone: nn.Module, state_dict: dict[str, Any], prefix: str) -> None:
    """Rename the backbone's keys of a state dict, in place, to our layout.

    A state dict without keys of the backbone is left unchanged.

    Args:
        backbone: The backbone that is being loaded.
        state_dict: All entries; the backbone's keys start with ``prefix``.
        prefix: Prefix of the backbone in the model, ``'backbone.'`` in a detector.

    Raises:
        UserError: If the layout is unknown, if keys are unexpected or missing, or if the width differs.
    """
    wanted = dict(backbone.state_dict())
    given = {key[len(prefix) :]: key for key in state_dict if key.startswith(prefix)}
    if not given:
        return
    names, notes = _translate(given)
    kept = {ours: key for key, ours in names.items() if ours in wanted}
    unbuilt = [ours for ours in names.values() if ours not in wanted]
    _check_fit(wanted, {ours: state_dict[given[key]] for ours, key in kept.items()}, unbuilt)

    converted = {prefix + ours: state_dict[given[key]] for ours, key in kept.items()}
    for key in given.values():
        del state_dict[key]
    state_dict.update(converted)
    if unbuilt:
        parts = sorted({ours.split('.')[0] for ours in unbuilt})
        notes.append(f'left out {", ".join(parts)}, which this backbone does not build')
    if notes:
        print_log(f'ShuffleNetV2 weights: {"; ".join(notes)}', logger='current')


def _translate(keys: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Given key -> our key, for the backbone's keys, and notes for the log."""
    inner, notes = strip_prefixes(keys, prefixes=_WRAPPERS)
    layout = next((layout for layout in LAYOUTS if any(key.startswith(layout.marker) for key in inner)), None)
    if layout is None:
        hint = " Pass checkpoint['state_dict'], not the checkpoint itself." if 'state_dict' in keys else ''
        raise UserError(
            f'Unknown layout of ShuffleNet V2 weights: found {_few(list(keys))}. Expected the keys of '
            f'{", ".join(known.name for known in LAYOUTS)}, with or without the prefix backbone.{hint}'
        )
    if layout.name != 'torchvision':
        notes.append(f'converted from the layout of {layout.name}')
    names, classifier, unknown = {}, [], []
    for key, given in inner.items():
        ours = layout.our_key(key)
        if ours is not None:
            names[given] = ours
        elif key.startswith(layout.classifier):
            classifier.append(key)
        else:
            unknown.append(given)
    if unknown:
        raise UserError(f'The weights have the layout of {layout.name}, but unexpected keys: {_few(unknown)}.')
    if classifier:
        notes.append(f'left out the classifier ({_few(classifier)})')
    return names, notes


# A backbone may be part of a larger model, wrapped or not.
_WRAPPERS = (*PREFIXES, 'backbone.')


def _check_fit(wanted: dict[str, Any], given: dict[str, Any], unbuilt: list[str]) -> None:
    _check_variant([*given, *unbuilt], wanted)
    built_parts = {key.split('.')[0] for key in wanted}
    extra = [key for key in unbuilt if key.split('.')[0] in built_parts]
    missing = [key for key in wanted if key not in given and not key.endswith('num_batches_tracked')]
    if extra or missing:
        faults = [
            f'{fault}: {_few(keys)}' for fault, keys in (('missing keys', missing), ('unexpected keys', extra)) if keys
        ]
        raise UserError(
            f'The weights do not match this ShuffleNetV2: {"; ".join(faults)}. Expected the same stages, '
            f'units and layer types (conv_cfg, norm_cfg, act_cfg).'
        )
    differing = [key for key in wanted if key in given and given[key].shape != wanted[key].shape]
    if differing:
        key = differing[0]
        widths = [_stage_widths(tensors) for tensors in (given, wanted)]
        raise UserError(
            f"The weights have another width: their stages have {widths[0]} channels, the backbone's {widths[1]} "
            f'({key}: {tuple(given[key].shape)}, expected {tuple(wanted[key].shape)}). Set widen_factor or '
            f'stage_channels accordingly, or use other weights.'
        )


def _check_variant(given: Iterable[str], wanted: Iterable[str]) -> None:
    theirs, ours = (
        {variant for key in keys for variant, mark in _MARKS.items() if mark in key} for keys in (given, wanted)
    )
    if ours and theirs and ours != theirs:
        raise UserError(
            f'The weights are for the {theirs.pop()} variant of ShuffleNetV2, but the backbone is the '
            f'{ours.pop()} one, which has other units. Set variant accordingly, or use other weights.'
        )


# Part of the keys of a variant's downsampling units.
_MARKS = {"'torchvision'": '.branch1.', "'authors'": '.branch_proj.'}


def _stage_widths(tensors: dict[str, Any]) -> tuple[int, ...]:
    # Both branches of a stage's first unit end with a 1x1 convolution; together they have the stage's channels.
    ends = re.compile(r'(stage\d)\.0\.(branch1\.2|branch2\.5|branch_proj\.2|branch_main\.5)\.weight')
    widths: dict[str, int] = {}
    for key, tensor in tensors.items():
        if match := ends.fullmatch(key):
            widths[match[1]] = widths.get(match[1], 0) + tensor.shape[0]
    return tuple(widths[stage] for stage in sorted(widths))


def _few(keys: list[str]) -> str:
    shown = ', '.join(sorted(keys)[:3])
    return shown if len(keys) <= 3 else f'{shown} and {len(keys) - 3} more'
