"""Reading ShuffleNet V2 weights in the key layouts of other code bases.

Our own layout is torchvision's: ``conv1.0.weight``, ``stage2.0.branch1.0.weight``, ..., ``conv5.1.bias``. Known too:

* mmpretrain (``layers.0.0.branch1.0.conv.weight``): https://github.com/open-mmlab/mmpretrain
* ericsun99/Shufflenet-v2-Pytorch (``features.0.banch1.0.weight``, its spelling)
* megvii-model/ShuffleNet-Series, the authors' (``features.0.branch_main.0.weight``), for ``variant='authors'``

and all of them inside a larger model (``module.``, ``model.``, ``backbone.`` in front of every key). The layout is
recognised from the keys. Keys of parts that a backbone has no use for (a classifier, the rest of a detector, stages
that it does not build) are left out and counted in the log; any other key that does not fit is an error.
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
    """A code base's way of naming the network's tensors."""

    name: str
    #: A key that starts so gives the layout away.
    marker: str
    #: Our name for a key, None where the key is not the layout's.
    own_name: Callable[[str], str | None]
    #: How the keys of its classifier start.
    classifier: tuple[str, ...]


_TENSOR = r'(weight|bias|running_mean|running_var|num_batches_tracked)'
# Whatever stands in one of our parts, the deep networks' included: which tensors a layer has depends on conv_cfg,
# norm_cfg and act_cfg. What the backbone does not have itself is found when the two are compared.
_OWN_KEY = re.compile(r'(conv[156]|stage[2345])\..+')


def _own_name(key: str) -> str | None:
    return key if _OWN_KEY.fullmatch(key) else None


_MMPRETRAIN_STEM = re.compile(rf'(conv1|layers\.3)\.(conv|bn)\.{_TENSOR}')
_MMPRETRAIN_UNIT = re.compile(rf'layers\.([012])\.(\d+)\.branch([12])\.(\d)\.(conv|bn)\.{_TENSOR}')
# Where mmpretrain's n-th convolution module of a branch stands in our flat sequence (norm right behind it).
_MMPRETRAIN_PLACES = {'1': (0, 2), '2': (0, 3, 5)}


def _mmpretrain_name(key: str) -> str | None:
    behind_conv = {'conv': 0, 'bn': 1}
    if match := _MMPRETRAIN_STEM.fullmatch(key):
        part, kind, tensor = match.groups()
        return f'{"conv1" if part == "conv1" else "conv5"}.{behind_conv[kind]}.{tensor}'
    if match := _MMPRETRAIN_UNIT.fullmatch(key):
        stage, unit, branch, place, kind, tensor = match.groups()
        places = _MMPRETRAIN_PLACES[branch]
        if int(place) < len(places):
            return f'stage{int(stage) + 2}.{unit}.branch{branch}.{places[int(place)] + behind_conv[kind]}.{tensor}'
    return None


def _place_of(unit: int) -> str:
    """Stage and place of a unit in one flat sequence of them; table 5 has 4, 8 and 4 a stage."""
    stage, first = next((s, f) for s, f in ((4, 12), (3, 4), (2, 0)) if unit >= f)
    return f'stage{stage}.{unit - first}'


_ERICSUN99_LAYER, _AUTHORS_LAYER = r'banch[12]\.\d', r'branch_(?:main|proj)\.\d'


def _flat_name(layer: str, key: str) -> str | None:
    """Our name for a key of a layout that counts the units of all stages through; ``layer`` is a pattern."""
    if match := re.fullmatch(rf'features\.(\d+)\.({layer})\.{_TENSOR}', key):
        unit, place, tensor = match.groups()
        return f'{_place_of(int(unit))}.{place.replace("banch", "branch")}.{tensor}'
    return _own_name(re.sub(r'^conv_last\.', 'conv5.', re.sub(r'^first_conv\.', 'conv1.', key)))


# In the order in which they are tried: the stem's keys of ericsun99 are ours, so ours comes last.
LAYOUTS = (
    Layout('mmpretrain', 'conv1.conv.', _mmpretrain_name, ('head.', )),
    Layout('ericsun99/Shufflenet-v2-Pytorch', 'features.0.banch', partial(_flat_name, _ERICSUN99_LAYER),
           ('classifier.', )),
    Layout('megvii-model/ShuffleNet-Series', 'first_conv.0.', partial(_flat_name, _AUTHORS_LAYER),
           ('classifier.', )),
    Layout('torchvision', 'conv1.0.', _own_name, ('fc.', )),
)


def convert_state_dict(backbone: nn.Module, state_dict: dict[str, Any], prefix: str) -> None:
    """Rewrite the backbone's entries of a state dict, in place, to the names that it has itself.

    Does nothing where the state dict has no entry for the backbone; entries under its own names stay as they are.

    Args:
        backbone: The backbone that is being loaded.
        state_dict: All entries; those of the backbone start with ``prefix``.
        prefix: Where the backbone stands in the model, ``'backbone.'`` in a detector.

    Raises:
        UserError: If the layout is unknown, if keys are left over or missing, or if a width differs.
    """
    wanted = dict(backbone.state_dict())
    given = {key[len(prefix):]: key for key in state_dict if key.startswith(prefix)}
    if not given:
        return
    names, notes = _translate(given)
    kept = {own: key for key, own in names.items() if own in wanted}
    unbuilt = [own for own in names.values() if own not in wanted]
    _check_fit(wanted, {own: state_dict[given[key]] for own, key in kept.items()}, unbuilt)

    adopted = {prefix + own: state_dict[given[key]] for own, key in kept.items()}
    for key in given.values():
        del state_dict[key]
    state_dict.update(adopted)
    if unbuilt:
        parts = sorted({own.split('.')[0] for own in unbuilt})
        notes.append(f'left out {", ".join(parts)}, which this backbone does not build')
    if notes:
        print_log(f'ShuffleNetV2 weights: {"; ".join(notes)}', logger='current')


def _translate(keys: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Given key -> our name, for the backbone's keys, and what there is to say about it."""
    inner, notes = strip_prefixes(keys, prefixes=_WRAPPERS)
    layout = next((layout for layout in LAYOUTS if any(key.startswith(layout.marker) for key in inner)), None)
    if layout is None:
        hint = " Pass checkpoint['state_dict'], not the whole checkpoint." if 'state_dict' in keys else ''
        raise UserError(f'These weights are in no layout that is known for ShuffleNet V2: {_few(list(keys))}. Known '
                        f'are {", ".join(known.name for known in LAYOUTS)}, also inside a detector (backbone.*).{hint}')
    if layout.name != 'torchvision':
        notes.append(f'read from the layout of {layout.name}')
    names, classifier, unknown = {}, [], []
    for key, given in inner.items():
        own = layout.own_name(key)
        if own is not None:
            names[given] = own
        elif key.startswith(layout.classifier):
            classifier.append(key)
        else:
            unknown.append(given)
    if unknown:
        raise UserError(f'These weights look like {layout.name}\'s ShuffleNet V2, but {_few(unknown)} '
                        f'belong{"s" if len(unknown) == 1 else ""} to no part of it.')
    if classifier:
        notes.append(f'left out the classifier ({_few(classifier)})')
    return names, notes


# A backbone may stand in a larger model, wrapped or not.
_WRAPPERS = (*PREFIXES, 'backbone.')


def _check_fit(wanted: dict[str, Any], given: dict[str, Any], unbuilt: list[str]) -> None:
    _check_variant([*given, *unbuilt], wanted)
    built_parts = {key.split('.')[0] for key in wanted}
    extra = [key for key in unbuilt if key.split('.')[0] in built_parts]
    missing = [key for key in wanted if key not in given and not key.endswith('num_batches_tracked')]
    if extra or missing:
        said = [f'{verb} {_few(keys)}' for verb, keys in (('lack', missing), ('have unknown', extra)) if keys]
        raise UserError(f'These weights do not fit this ShuffleNetV2: they {" and ".join(said)}. Expected are the '
                        f'same stages, units and kinds of layers (conv_cfg, norm_cfg, act_cfg).')
    differing = [key for key in wanted if key in given and given[key].shape != wanted[key].shape]
    if differing:
        key = differing[0]
        widths = [_stage_widths(tensors) for tensors in (given, wanted)]
        raise UserError(
            f'These weights are of another width: stages of {widths[0]} channels, the backbone has {widths[1]} '
            f'({key}: {tuple(given[key].shape)}, expected {tuple(wanted[key].shape)}). Set widen_factor or '
            f'stage_channels to theirs, or take other weights.')


def _check_variant(given: Iterable[str], wanted: Iterable[str]) -> None:
    theirs, ours = ({variant for key in keys for variant, mark in _MARKS.items() if mark in key}
                    for keys in (given, wanted))
    if ours and theirs and ours != theirs:
        raise UserError(f'These weights are of the {theirs.pop()} variant of ShuffleNetV2, and the backbone is the '
                        f'{ours.pop()} one: the two differ in their units. Set variant to theirs, or take other '
                        f'weights.')


# What the keys of a variant's down-sampling units hold.
_MARKS = {"'torchvision'": '.branch1.', "'authors'": '.branch_proj.'}


def _stage_widths(tensors: dict[str, Any]) -> tuple[int, ...]:
    # Both branches of a stage's first unit end in a 1x1 convolution; together they are the stage's width.
    ends = re.compile(r'(stage\d)\.0\.(branch1\.2|branch2\.5|branch_proj\.2|branch_main\.5)\.weight')
    widths: dict[str, int] = {}
    for key, tensor in tensors.items():
        if match := ends.fullmatch(key):
            widths[match[1]] = widths.get(match[1], 0) + tensor.shape[0]
    return tuple(widths[stage] for stage in sorted(widths))


def _few(keys: list[str]) -> str:
    shown = ', '.join(sorted(keys)[:3])
    return shown if len(keys) <= 3 else f'{shown} and {len(keys) - 3} more'
