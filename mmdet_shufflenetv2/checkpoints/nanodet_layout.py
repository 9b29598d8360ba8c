"""Reading NanoDet's own checkpoints (https://github.com/RangiLyu/nanodet) into :class:`.NanoDet`.

NanoDet's detectors consist of ``backbone``, ``fpn`` and ``head``. In a file, their keys start with ``model.``, or with
``avg_model.`` for the averaged weights, which are preferred. The backbone's keys are the same as ours. The layout is
recognized from the keys; weights of another variant raise an error that describes both.
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

__all__ = [
    'GUIDANCE',
    'Variant',
    'check_fit',
    'convert_state_dict',
    'has_guidance',
    'is_nanodet',
    'to_our_keys',
    'variant_of',
]

_HEAD = ('head.gfl_cls.', 'head.cls_convs.')

# NanoDet's keys -> ours, each applied once, in order.
_RENAMED = tuple(
    (re.compile(theirs), ours)
    for theirs, ours in (
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
    )
)
#: Prefix of the parts of NanoDet-Plus that are only used in training, in our layout.
GUIDANCE = 'assign_guidance.'
# NanoDet builds this layer and never runs it, since one tower serves classes and boxes.
_UNUSED = 'head.gfl_reg.'


class Variant(NamedTuple):
    """A variant of NanoDet, as recognized from the shapes of its weights (which do not show the input size)."""

    plus: bool
    #: Channels of the backbone's stages that the neck reads, and outputs of the head; empty or 0 if unknown.
    stages: tuple[int, ...]
    levels: int
    classes: int

    def __str__(self) -> str:
        parts = [f'backbone stages of {", ".join(map(str, self.stages))} channels'] * bool(self.stages)
        parts += [f'{self.levels} levels', f'{self.classes} classes'] * bool(self.levels)
        return f'NanoDet{"-Plus" * self.plus} ({"; ".join(parts) or "unknown variant"})'


def is_nanodet(keys: Iterable[str]) -> bool:
    """Whether these are the keys of a checkpoint that NanoDet wrote, of any variant."""
    names, _ = strip_prefixes(key for key in keys if isinstance(key, str))
    return any(name.startswith(_HEAD) for name in names)


def has_guidance(keys: Iterable[str]) -> bool:
    """Whether NanoDet-Plus weights, in its layout or ours, contain the assign guidance module of its training."""
    return any(part in str(key) for key in keys for part in (GUIDANCE, 'aux_head.'))


def convert_state_dict(detector: nn.Module, state_dict: dict[str, Any], prefix: str) -> None:
    """Rename the detector's keys of a state dict, in place, from NanoDet's layout to ours.

    A state dict in another layout is left unchanged.

    Args:
        detector: The :class:`.NanoDet` that is being loaded.
        state_dict: All entries; the detector's keys start with ``prefix``.
        prefix: Prefix of the detector in the model, ``''`` if it is the model.

    Raises:
        UserError: If the weights are of another variant.
    """
    given = {key[len(prefix) :]: tensor for key, tensor in state_dict.items() if key.startswith(prefix)}
    if not is_nanodet(given):
        return
    converted = to_our_keys(given)
    check_fit(detector.state_dict(), converted)

    for key in given:
        del state_dict[prefix + key]
    state_dict.update({prefix + key: tensor for key, tensor in converted.items()})


def to_our_keys(given: dict[str, Any]) -> dict[str, Any]:
    """The tensors of a NanoDet checkpoint under our keys. The log says which were used and which left out."""
    names, notes = strip_prefixes(given)
    theirs = {name: given[key] for name, key in names.items()}
    unused = [key for key in theirs if key.startswith(_UNUSED)]
    if unused:
        notes.append(f'left out {_few(unused)}, unused by NanoDet')
    print_log(f'NanoDet weights: {"; ".join(notes or ["converted from the layout of NanoDet"])}', logger='current')
    return {_our_key(key): tensor for key, tensor in theirs.items() if key not in unused}


def variant_of(given: dict[str, Any]) -> Variant | None:
    """Variant of a checkpoint in NanoDet's layout; None for other checkpoints."""
    names, _ = strip_prefixes(key for key in given if isinstance(key, str))
    return (
        _variant(
            {
                _our_key(name): given[key]
                for name, key in names.items()
                if isinstance(given[key], torch.Tensor) and given[key].ndim
            }
        )
        if is_nanodet(given)
        else None
    )


def _our_key(key: str) -> str:
    for theirs, ours in _RENAMED:
        key = theirs.sub(ours, key)
    return key


def check_fit(wanted: dict[str, Any], given: dict[str, Any]) -> None:
    """Check that weights match the detector's, both under our keys.

    The assign guidance module of NanoDet-Plus may be missing in either of them.

    Raises:
        UserError: If they are of another variant.
    """
    wanted, given = (
        {key: tensor for key, tensor in side.items() if not key.startswith(GUIDANCE)} for side in (wanted, given)
    )
    missing = [key for key in wanted if key not in given and not key.endswith('num_batches_tracked')]
    unknown = [key for key in given if key not in wanted]
    differing = [key for key in wanted if key in given and given[key].shape != wanted[key].shape]
    faults = [
        f'{fault}: {_few(keys)}'
        for fault, keys in (('missing keys', missing), ('unexpected keys', unknown), ('size mismatch', differing))
        if keys
    ]
    if faults:
        raise UserError(
            f'The weights are for {_variant(given)}, but the config is for {_variant(wanted)} ({"; ".join(faults)}).'
        )


def _variant(tensors: dict[str, Any]) -> Variant:
    """The variant of tensors under our keys."""
    # The lateral convolutions have another name in NanoDet-Plus, but read the backbone's stages in both.
    stages = tuple(
        tensors[key].shape[1]
        for key in tensors
        if re.fullmatch(r'neck\.(lateral_convs|reduce_layers)\.\d\.conv\.weight', key)
    )
    outputs = [key for key in tensors if re.fullmatch(r'bbox_head\.gfl_cls\.\d\.weight', key)]
    bins = tensors.get('bbox_head.integral.project')
    plus = any('reduce_layers' in key for key in tensors)
    if not outputs or bins is None:
        return Variant(plus, stages, levels=0, classes=0)
    return Variant(plus, stages, len(outputs), tensors[outputs[0]].shape[0] - 4 * len(bins))


def _few(keys: list[str]) -> str:
    shown = ', '.join(keys[:2])
    return shown if len(keys) <= 2 else f'{shown} and {len(keys) - 2} more'
