"""Reading NanoDet's own checkpoints (https://github.com/RangiLyu/nanodet) into :class:`.NanoDet`.

There a detector is ``backbone``, ``fpn`` and ``head``; in a file stands ``model.`` in front, or ``avg_model.`` for the
average of the weights over the training, which is then the better of the two. The backbone's names are ours. The
layout is recognised from the keys; a file that does not fit is an error that names both sides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from mmengine.logging import print_log
from torch import nn

from ..utils.errors import UserError
from .unwrap import strip_prefixes

__all__ = ['GUIDANCE', 'Variant', 'check_fit', 'convert_state_dict', 'has_guidance', 'is_nanodet', 'own_names',
           'variant_of']

_HEAD = ('head.gfl_cls.', 'head.cls_convs.')

# NanoDet's names and ours, each pair applied once, in order.
_RENAMED = tuple((re.compile(theirs), ours) for theirs, ours in (
    (r'^fpn\.', 'neck.'),
    (r'^head\.', 'bbox_head.'),
    (r'^aux_fpn\.', 'assign_guidance.neck.'),
    (r'^aux_head\.', 'assign_guidance.head.'),
    (r'\.distribution_project\.', '.integral.'),
    (r'\.blocks\.0\.', '.'),
    (r'\.(extra_lvl_(?:in|out)_conv)\.0\.', r'.\1.'),
    (r'\.(depth|point)wise\.', r'.\1wise_conv.conv.'),
    (r'\.dwnorm\.', '.depthwise_conv.bn.'),
    (r'\.pwnorm\.', '.pointwise_conv.bn.'),
))
#: What NanoDet-Plus has in training only, under our names.
GUIDANCE = 'assign_guidance.'
# NanoDet builds it and, since one tower serves classes and boxes, never runs it.
_UNUSED = 'head.gfl_reg.'


class Variant(NamedTuple):
    """A NanoDet, as far as the shapes of its weights tell: not the size of its input."""

    plus: bool
    #: Channels of the backbone's stages that the neck takes, and outputs of the head; empty or 0 where unknown.
    stages: tuple[int, ...]
    levels: int
    classes: int

    def __str__(self) -> str:
        said = [f'backbone stages of {", ".join(map(str, self.stages))} channels'] * bool(self.stages)
        said += [f'{self.levels} levels', f'{self.classes} classes'] * bool(self.levels)
        return f'NanoDet{"-Plus" * self.plus} ({"; ".join(said) or "of an unknown kind"})'


def is_nanodet(keys: Iterable[str]) -> bool:
    """Whether these are the keys of a checkpoint that NanoDet wrote, of NanoDet-m or another."""
    names, _ = strip_prefixes(key for key in keys if isinstance(key, str))
    return any(name.startswith(_HEAD) for name in names)


def has_guidance(keys: Iterable[str]) -> bool:
    """Whether weights of NanoDet-Plus, under its names or ours, hold what guides its training."""
    return any(part in str(key) for key in keys for part in (GUIDANCE, 'aux_head.'))


def convert_state_dict(detector: nn.Module, state_dict: dict[str, Any], prefix: str) -> None:
    """Rewrite the detector's entries of a state dict, in place, from NanoDet's names to ours.

    Does nothing where the state dict is not NanoDet's.

    Args:
        detector: The :class:`.NanoDet` that is being loaded.
        state_dict: All entries; those of the detector start with ``prefix``.
        prefix: Where the detector stands in the model, ``''`` where it is the model.

    Raises:
        UserError: If the weights are of another NanoDet.
    """
    given = {key[len(prefix):]: tensor for key, tensor in state_dict.items() if key.startswith(prefix)}
    if not is_nanodet(given):
        return
    adopted = own_names(given)
    check_fit(detector.state_dict(), adopted)

    for key in given:
        del state_dict[prefix + key]
    state_dict.update({prefix + key: tensor for key, tensor in adopted.items()})


def own_names(given: dict[str, Any]) -> dict[str, Any]:
    """The tensors of a NanoDet checkpoint under our names; what was taken and what was left out goes to the log."""
    names, notes = strip_prefixes(given)
    theirs = {name: given[key] for name, key in names.items()}
    unused = [key for key in theirs if key.startswith(_UNUSED)]
    if unused:
        notes.append(f'left out {_few(unused)}, which NanoDet does not use')
    print_log(f'NanoDet weights: {"; ".join(notes or ["read from the layout of NanoDet"])}', logger='current')
    return {_own_name(key): tensor for key, tensor in theirs.items() if key not in unused}


def variant_of(given: dict[str, Any]) -> Variant | None:
    """Which NanoDet a checkpoint's weights are of; None where NanoDet did not write them."""
    names, _ = strip_prefixes(key for key in given if isinstance(key, str))
    return _variant({_own_name(name): given[key] for name, key in names.items()
                     if isinstance(given[key], torch.Tensor) and given[key].ndim}) if is_nanodet(given) else None


def _own_name(key: str) -> str:
    for theirs, ours in _RENAMED:
        key = theirs.sub(ours, key)
    return key


def check_fit(wanted: dict[str, Any], given: dict[str, Any]) -> None:
    """Hold weights against the detector's, both under our names.

    What guides the training of NanoDet-Plus may be missing on either side.

    Raises:
        UserError: If they are of another NanoDet.
    """
    wanted, given = ({key: tensor for key, tensor in side.items() if not key.startswith(GUIDANCE)}
                     for side in (wanted, given))
    missing = [key for key in wanted if key not in given and not key.endswith('num_batches_tracked')]
    unknown = [key for key in given if key not in wanted]
    differing = [key for key in wanted if key in given and given[key].shape != wanted[key].shape]
    faults = [f'{verb} {_few(keys)}' for verb, keys in
              (('lack', missing), ('have unknown', unknown), ('differ in', differing)) if keys]
    if faults:
        raise UserError(f'These weights are of {_variant(given)}, the config is of {_variant(wanted)}: they '
                        f'{" and ".join(faults)}.')


def _variant(tensors: dict[str, Any]) -> Variant:
    """From tensors under our names."""
    # NanoDet-Plus has other laterals; their inputs are the backbone's stages in both.
    stages = tuple(tensors[key].shape[1] for key in tensors
                   if re.fullmatch(r'neck\.(lateral_convs|reduce_layers)\.\d\.conv\.weight', key))
    outputs = [key for key in tensors if re.fullmatch(r'bbox_head\.gfl_cls\.\d\.weight', key)]
    bins = tensors.get('bbox_head.integral.project')
    known = bool(outputs) and bins is not None
    return Variant(any('reduce_layers' in key for key in tensors), stages, len(outputs) * known,
                   tensors[outputs[0]].shape[0] - 4 * len(bins) if known else 0)


def _few(keys: list[str]) -> str:
    shown = ', '.join(keys[:2])
    return shown if len(keys) <= 2 else f'{shown} and {len(keys) - 2} more'
