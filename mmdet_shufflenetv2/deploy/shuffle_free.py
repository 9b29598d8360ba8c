"""The shuffle-free form of a trained backbone: the same outputs up to rounding, without channel shuffle.

:mod:`.channel_plan` explains the idea with an example. This module applies it to the weights: batch norms are fused,
the rows of each unit's last convolution are sorted by consumer, and the columns of each unit's first convolution by
producer. A unit then copies half the width once (``cat``); the original copies the full width twice (``cat``, shuffle).
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from mmcv.cnn import ConvModule
from mmdet.models.layers import SELayer
from mmdet.models.necks import FPN
from torch import Tensor, nn

from ..compat.private import BatchNorm, has_forward_hooks, has_forward_pre_hooks
from ..models.backbones import ShuffleNetV2
from ..models.nanodet import GhostPAN, LightPAN
from ..utils.errors import UserError
from .channel_plan import UNUSED, Slice, plan_stage
from .permute import absorb_order, check_conv, fuse_conv_bn, permute_channels, permute_depthwise, plain_activation

__all__ = ['ShuffleFreeShuffleNetV2', 'shuffle_free', 'shuffle_free_detector']


def shuffle_free(backbone: ShuffleNetV2, *, block: int = 1, restore_order: bool = True) -> ShuffleFreeShuffleNetV2:
    """The inference form of a backbone: same outputs, no shuffle, no norms. The backbone itself is not changed.

    Args:
        backbone: In eval mode, with batch norms (or fused ones) and an element-wise activation. Both variants, V2*, SE
            and residual units, strides, dilations, any depth and any even width are supported.
        block: Pad every slice of channels with zero channels to a multiple of this, and compute each slice with a
            separate convolution. onnxruntime computes in blocks of 16 channels (8 without AVX-512), reorders all data
            around an operator that splits a block, and is fastest with 16. OpenVINO and PyTorch are fastest with 1,
            which adds no channels.
        restore_order: Return features in the original order of channels, at the cost of one copy each. False returns
            them in the order ``orders`` of the result, so that a consumer can absorb the order, see
            :func:`shuffle_free_detector`.

    Returns:
        A module with the backbone's inputs and outputs.

    Raises:
        UserError: (a ``ValueError``) If the backbone is not a ShuffleNetV2, is fully or partly in training mode, is
            on ``meta``, has forward hooks, or has a norm, convolution, activation or unit that is not supported.
    """
    _check_arguments(backbone, block)
    try:
        fast = ShuffleFreeShuffleNetV2(backbone, block, restore_order).eval().requires_grad_(False)
    except UserError:
        raise
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:  # an unknown layer
        raise UserError(
            f'The backbone has layers that ShuffleNetV2 does not build ({type(error).__name__}: {error}), '
            f'so it has no shuffle-free form.'
        ) from error
    _check(backbone, fast)
    return fast


def _check_arguments(backbone: nn.Module, block: int) -> None:
    if not isinstance(backbone, ShuffleNetV2):
        raise UserError(f'shuffle_free expects a ShuffleNetV2, got a {type(backbone).__name__}.')
    norm = next(
        (name for name, module in backbone.named_modules() if isinstance(module, BatchNorm) and module.training), None
    )
    if backbone.training or norm is not None:
        where = '' if backbone.training else f' at {norm}'
        raise UserError(
            f'The backbone is in training mode{where}, where its batch norms depend on the batch. Call '
            f'backbone.eval() first.'
        )
    if any(tensor.is_meta for tensor in backbone.state_dict().values()):
        raise UserError("The backbone is on 'meta' and has no weights. Load them onto a device first.")
    if type(block) is not int or block < 1:
        raise UserError(f'block={block!r} is invalid: expected an integer of 1 (no padding) or more, such as 16.')
    hooked = next(
        (
            name
            for name, module in backbone.named_modules()
            if has_forward_hooks(module) or has_forward_pre_hooks(module)
        ),
        None,
    )
    if hooked is not None:
        raise UserError(
            f'The backbone has a forward hook at {hooked or "its top"} (such as weight_norm or '
            f'spectral_norm), which the shuffle-free form cannot keep. Remove it first: '
            f'torch.nn.utils.remove_weight_norm, handle.remove().'
        )


@torch.no_grad()
def _check(backbone: ShuffleNetV2, fast: ShuffleFreeShuffleNetV2) -> None:
    """Compare both on a small input: a subclass may compute anything, and layers may have been inserted."""
    weight: Any = backbone.conv1[0].weight
    x = torch.randn(1, weight.shape[1], 96, 128, generator=torch.Generator().manual_seed(0)).to(weight)
    # Largest difference of the two forms, relative to the largest feature.
    tolerance = 0.01 if weight.dtype in (torch.float32, torch.float64) else 0.1
    for number, (got, wanted) in enumerate(zip(fast(x), backbone(x), strict=True)):
        order = fast.orders[number]
        if order is not None:
            got = got[:, [order.index(channel) for channel in range(wanted.shape[1])]]
        wanted, got = wanted.float(), got.float()
        if got.shape != wanted.shape or (
            wanted.isfinite().all() and not (got - wanted).abs().max() <= tolerance * wanted.abs().max()
        ):
            raise UserError(
                f'The features of the shuffle-free form do not match those of this {type(backbone).__name__} '
                f'(output {number}), because it contains modules that ShuffleNetV2 does not have. Set '
                f'`keep_shuffle` to export it unchanged.'
            )


class ShuffleFreeShuffleNetV2(nn.Module):
    """The result of :func:`shuffle_free`.

    Attributes:
        feature_info: Copied from the backbone.
        orders: Per output: the original channel at each index, or None if the order is unchanged. -1 marks unused
            channels, whose values are arbitrary and need not be zero.
    """

    def __init__(self, backbone: ShuffleNetV2, block: int, restore_order: bool) -> None:
        super().__init__()
        self.out_indices = backbone.out_indices
        self.feature_info = backbone.feature_info
        stem: Any = backbone.conv1
        conv, norm, act = stem
        order = _filled(conv.out_channels, block)
        self.conv1 = nn.Sequential(permute_channels(fuse_conv_bn(conv, norm), rows=order), plain_activation(act))
        self.maxpool = backbone.maxpool
        self.parts = nn.ModuleList()
        orders = [order]
        for name in backbone.part_names:
            part = getattr(backbone, name)
            if name.startswith('stage'):
                stage = _Stage(part, order, block)
                self.parts.append(stage)
                order = stage.plan.output
            else:
                conv, norm, act = part
                self.parts.append(
                    nn.Sequential(permute_channels(fuse_conv_bn(conv, norm), columns=order), plain_activation(act))
                )
                order = list(range(conv.out_channels))
            orders.append(order)
        self.orders = [None if orders[i] == sorted(orders[i]) else orders[i] for i in self.out_indices]
        self.restored = nn.ModuleList(nn.Identity() for _ in self.orders)
        if restore_order:
            for level, (info, changed) in enumerate(zip(self.feature_info, self.orders)):
                if changed is not None:
                    self.restored[level] = _Pick([changed.index(channel) for channel in range(info.channels)])
            self.orders = [None] * len(self.orders)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, 3, H, W)`` -> one ``(N, channels, ceil(H / stride), ceil(W / stride))`` per output."""
        features = [self.maxpool(self.conv1(x))]
        for part in self.parts:
            features.append(part(features[-1]))
        return tuple(restored(features[i]) for restored, i in zip(self.restored, self.out_indices))


class _Stage(nn.Module):
    """A stage that passes slices of channels from producer to consumer."""

    def __init__(self, units: Any, order: Sequence[int], block: int) -> None:
        super().__init__()
        first, *basic_units = units
        project, transform = first.children()
        widths = (project[-3].out_channels, transform.get_submodule('5').out_channels)
        self.plan = plan_stage(list(units), widths, block)
        makes = zip(self.plan.produced, self.plan.slices)
        self.project = _projection(project, order, *next(makes), block)
        self.transform = _Transformation(transform, order, *next(makes), block)
        self.units = nn.ModuleList(
            _Transformation(next(iter(unit.children())), consumed, *next(makes), block, unit.act)
            for unit, consumed in zip(basic_units, self.plan.consumed)
        )

    def forward(self, x: Tensor) -> Tensor:
        waiting: list[list[Tensor]] = [[] for _ in range(len(self.units) + 1)]
        self._hand_on(0, self.project(x), waiting)
        self._hand_on(1, self.transform(x), waiting)
        for number, unit in enumerate(self.units):
            self._hand_on(number + 2, unit(_joined(waiting[number])), waiting)
        return _joined(waiting[-1])

    def _hand_on(self, producer: int, made: Sequence[Tensor], waiting: list[list[Tensor]]) -> None:
        for part, (_, consumers) in zip(made, self.plan.slices[producer]):
            for consumer in consumers:
                waiting[consumer].append(part)


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def _filled(channels: int, block: int) -> list[int]:
    """Channels in their order, padded with zero channels to a multiple of ``block``."""
    return [*range(channels), *[UNUSED] * (-channels % block)]


class _Slices(nn.Module):
    """The last convolution of a branch, with slices ``(N, width, H, W)`` as outputs.

    With blocks, a separate convolution computes each slice, because runtimes that compute in blocks reorder data around
    a split. Without blocks, one convolution computes all channels and its output is split, which is faster.
    """

    def __init__(self, conv: nn.Conv2d, act: nn.Module, slices: Sequence[Slice], block: int) -> None:
        super().__init__()
        self.widths = [width for width, _ in slices]
        self.act = plain_activation(act)
        rows_of_slices = torch.split(torch.arange(conv.out_channels), self.widths)
        self.convs = nn.ModuleList(
            [conv] if block == 1 else [permute_channels(conv, rows=rows.tolist()) for rows in rows_of_slices]
        )

    def forward(self, x: Tensor) -> Sequence[Tensor]:
        made = [self.act(conv(x)) for conv in self.convs]
        return made[0].split(self.widths, dim=1) if len(made) < len(self.widths) else made


class _SlicesOfSum(nn.Module):
    """The same with an SE gate or a shortcut, which need all channels at once and precede the activation."""

    def __init__(
        self,
        conv: nn.Conv2d,
        act: nn.Module,
        slices: Sequence[Slice],
        gate: nn.Module | None,
        shortcut: nn.Module | None,
    ) -> None:
        super().__init__()
        self.widths = [width for width, _ in slices]
        self.conv = conv
        self.gate = gate
        self.shortcut = shortcut
        self.act = plain_activation(act)

    def forward(self, x: Tensor, unit_input: Tensor) -> Sequence[Tensor]:
        out = self.conv(x)
        if self.gate is not None:
            out = out * self.gate(out)
        if self.shortcut is not None:
            out = out + self.shortcut(unit_input)
        return self.act(out).split(self.widths, dim=1)


def _projection(
    branch: nn.Sequential, columns: Sequence[int], rows: Sequence[int], slices: Sequence[Slice], block: int
) -> nn.Sequential:
    depthwise, norm1, pointwise, norm2, act = branch
    last = permute_channels(fuse_conv_bn(pointwise, norm2), rows, columns)
    return nn.Sequential(permute_depthwise(fuse_conv_bn(depthwise, norm1), columns), _Slices(last, act, slices, block))


class _Transformation(nn.Module):
    """A unit's convolutions, with input and output channels in other orders."""

    def __init__(
        self,
        branch: nn.Sequential,
        columns: Sequence[int],
        rows: Sequence[int],
        slices: Sequence[Slice],
        block: int,
        residual_act: nn.Module | None = None,
    ) -> None:
        super().__init__()
        layers: dict[str, Any] = dict(branch.named_children())
        middle = _filled(layers['0'].out_channels, block)
        convs: list[nn.Module] = []
        if 'field' in layers:
            convs.append(permute_depthwise(fuse_conv_bn(*layers['field']), columns))
        convs += [
            permute_channels(fuse_conv_bn(layers['0'], layers['1']), middle, columns),
            plain_activation(layers['2']),
            permute_depthwise(fuse_conv_bn(layers['3'], layers['4']), middle),
        ]
        self.convs = nn.Sequential(*convs)
        last = permute_channels(fuse_conv_bn(layers['5'], layers['6']), rows, middle)
        gate = _Gate(layers['se'], rows) if 'se' in layers else None
        # This copy remains, because a unit's inputs and outputs have different consumers.
        shortcut = _Pick([columns.index(row) if row in columns else 0 for row in rows]) if residual_act else None
        act = residual_act or layers['7']
        self.whole = gate is not None or shortcut is not None
        self.last = _SlicesOfSum(last, act, slices, gate, shortcut) if self.whole else _Slices(last, act, slices, block)

    def forward(self, x: Tensor) -> Sequence[Tensor]:
        """``(N, C, H, W)`` -> the unit's output slices."""
        out = self.convs(x)
        return self.last(out, x) if self.whole else self.last(out)


class _Gate(nn.Sequential):
    """Squeeze and excitation of channels in another order: ``(N, C, H, W)`` -> ``(N, C, 1, 1)``."""

    def __init__(self, se: SELayer, order: Sequence[int]) -> None:
        super().__init__(
            se.global_avgpool,
            permute_channels(se.conv1.conv, columns=order),
            se.conv1.activate,
            permute_channels(se.conv2.conv, rows=order),
            se.conv2.activate,
        )


class _Pick(nn.Module):
    """Selects channels of ``(N, C, H, W)`` by index."""

    channels: Tensor

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer('channels', torch.tensor(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x.index_select(1, self.channels)


def shuffle_free_detector(model: nn.Module, *, block: int = 1) -> nn.Module:
    """A copy of a detector with a shuffle-free backbone.

    If the neck is MMDetection's FPN, a :class:`.LightPAN` or a :class:`.GhostPAN`, its convolutions absorb the order of
    the features, and nothing is reordered. Other necks, and necks with special convolutions, get features in the
    original order.

    Args:
        model: A detector in eval mode whose ``backbone`` is a ShuffleNetV2.
        block: See :func:`shuffle_free`.

    Raises:
        UserError: If the backbone cannot be made shuffle-free.
    """
    backbone = getattr(model, 'backbone', None)
    if backbone is None:
        raise UserError(f'A {type(model).__name__} has no backbone to make shuffle-free.')
    neck = getattr(model, 'neck', None)
    absorbs = type(neck) in (FPN, LightPAN, GhostPAN) and all(
        _absorbs(conv) for level in range(len(backbone.out_indices)) for conv in _readers(neck, level)
    )
    fast = shuffle_free(backbone, block=block, restore_order=not absorbs)
    model = deepcopy(model)
    model.backbone = fast
    if absorbs:
        for level, order in enumerate(fast.orders):
            if order is not None:
                for module in _readers(model.neck, level):
                    absorb_order(module.conv, order)
    return model


def _absorbs(module: ConvModule) -> bool:
    try:
        check_conv(module.conv)
    except UserError:
        return False
    return module.conv.groups == 1 and not has_forward_pre_hooks(module) and module.order[0] == 'conv'


def _readers(neck: FPN | LightPAN | GhostPAN, level: int) -> list[ConvModule]:
    """The convolutions of a neck that read the backbone's output with index ``level``."""
    if isinstance(neck, LightPAN):
        return [neck.lateral_convs[level]]
    if isinstance(neck, GhostPAN):
        return [neck.reduce_layers[level]]
    readers = []
    if neck.start_level <= level < neck.backbone_end_level:
        readers.append(neck.lateral_convs[level - neck.start_level])
    levels = neck.backbone_end_level - neck.start_level
    if neck.add_extra_convs == 'on_input' and level == neck.backbone_end_level - 1 and len(neck.fpn_convs) > levels:
        readers.append(neck.fpn_convs[levels])
    return readers
