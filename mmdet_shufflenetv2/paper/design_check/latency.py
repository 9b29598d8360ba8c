"""A latency model of the machine: seconds per operation, per multiply-add, and per element read or written.

It is fitted to networks with known counts: those of tables 1 to 4, and stacks of a single layer type that they lack.
The model is too simple for accurate predictions: it gives a price to what the guidelines count, and reports its error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor, nn

from ...profiling.memory_access import Kind, Operation
from ..guidelines.networks import BLOCKS, random_input
from ..guidelines.tables import TABLES

__all__ = ['LatencyModel', 'calibration_networks', 'fit', 'is_depthwise']

#: Items with a price. Depthwise convolutions need few computations; the paper counts them as element-wise operations
#: (section 2, G4).
_PRICES = ('operation', 'multiply-add', 'depthwise', *Kind)


class LatencyModel(NamedTuple):
    """Prices in seconds."""

    #: Per operation, per multiply-add except for depthwise convolutions, and per element by kind of operation.
    prices: dict[str, float]
    #: Median relative error on the networks that it was fitted to.
    error: float

    def seconds(self, operation: Operation) -> float:
        """Predicted time of one operation."""
        return float(_amounts([operation]) @ [self.prices[name] for name in _PRICES])


def is_depthwise(operation: Operation) -> bool:
    """Whether an operation is a convolution that does not mix channels."""
    convolution = operation.convolution
    return convolution is not None and 1 < convolution.groups == convolution.in_channels


def fit(networks: Iterable[list[Operation]], seconds: Iterable[float]) -> LatencyModel:
    """Fit nonnegative prices to measured networks by least squares of the relative error."""
    measured = np.array(list(seconds))
    amounts = np.array([_amounts(operations) for operations in networks]) / measured[:, None]
    scale = amounts.max(axis=0)  # there are millions of elements per operation
    scale[scale == 0] = 1
    prices = nnls(amounts / scale, np.ones(len(measured)))[0] / scale
    return LatencyModel(dict(zip(_PRICES, prices.tolist())), float(np.median(np.abs(amounts @ prices - 1))))


def calibration_networks(device: str = 'cpu') -> list[tuple[nn.Module, Tensor]]:
    """Networks and inputs that determine all prices: those of tables 1 to 4, and stacks of a single layer type."""
    networks = [row.build('arm', size).to(device) for table in TABLES.values() for row in table.rows for size in (1, 2)]
    stacks = [
        (nn.Sequential(*(layer() for _ in range(BLOCKS))).eval().to(device), x.to(device)) for layer, x in _stacks()
    ]
    return [(network, random_input(network, device)) for network in networks] + stacks


def _stacks() -> list[tuple[Callable[[], nn.Module], Tensor]]:
    """Layers that tables 1 to 4 lack or only combine with others, on feature maps of the size in backbones."""

    class Copy(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.clone()

    stacks: list[tuple[Callable[[], nn.Module], Tensor]] = []
    for channels, side in ((24, 112), (58, 56), (116, 28), (232, 14)):
        layers: list[Callable[[], nn.Module]] = [
            partial(nn.Conv2d, channels, channels, 3, padding=1, groups=channels),
            nn.ReLU,
            Copy,
            partial(nn.Conv2d, channels, channels, 3, padding=1),
            partial(nn.Conv2d, channels, channels, 1),
            partial(nn.MaxPool2d, 3, stride=1, padding=1),
        ]
        stacks += [(layer, torch.rand(1, channels, side, side)) for layer in layers]
        stacks.append((partial(nn.Linear, channels, channels), torch.rand(1, side * side, channels)))
    return stacks


def _amounts(operations: Iterable[Operation]) -> np.ndarray:
    """Amount of each item that has a price."""
    amounts = dict.fromkeys(_PRICES, 0)
    for operation in operations:
        amounts['operation'] += 1
        if is_depthwise(operation):
            amounts['depthwise'] += operation.mac
        else:
            amounts['multiply-add'] += operation.multiply_adds
            amounts[operation.kind] += operation.mac
    return np.array([amounts[name] for name in _PRICES], dtype=float)
