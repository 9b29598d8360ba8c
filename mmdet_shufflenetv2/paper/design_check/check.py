"""Checking the backbones of one or more configs, timed against each other."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from mmcv.cnn.utils import fuse_conv_bn
from torch import nn

from ...config.load import load_config
from ...models.build import build_model
from ...profiling.memory_access import Kind, Operation, elements_by_kind, trace_operations
from ...profiling.timing import Timing, hardware_title, machine_name, summarize, time_alternating
from ...utils.device import usable_device
from ...utils.errors import UserError
from ..guidelines.breakdown import time_by_kind
from ..guidelines.runtimes import make_call
from .latency import LatencyModel, calibration_networks, fit, is_depthwise
from .violations import Violation, find_violations

__all__ = ['Checked', 'DesignCheck', 'build_backbone', 'check_designs']


class Checked(NamedTuple):
    """Result for one backbone: its counts, violations and latency."""

    #: Name of the config, and type of its backbone.
    config: str
    backbone: str
    multiply_adds: int
    #: Elements read and written by kind.
    elements: dict[Kind, int]
    #: Elements read and written by depthwise convolutions.
    depthwise_elements: int
    violations: list[Violation]
    #: Seconds per image, predicted by the latency model and measured.
    predicted: float
    measured: Timing
    #: Seconds by kind of operation, from the profiler.
    times: dict[Kind, float]

    @property
    def mac(self) -> int:
        """The paper's memory access cost: elements that convolutions and matrix products read and write."""
        return self.elements[Kind.CONVOLUTION] + self.elements[Kind.MATRIX_PRODUCT]

    def total(self, guideline: str) -> tuple[int, float, float]:
        """Number, elements and predicted seconds of the violations of one guideline."""
        found = [entry for entry in self.violations if entry.guideline == guideline]
        return len(found), sum(entry.elements for entry in found), sum(entry.seconds for entry in found)


class DesignCheck(NamedTuple):
    """Results for several backbones, with the machine and the image size."""

    machine: str
    device: str
    threads: int
    height: int
    width: int
    model: LatencyModel
    checked: list[Checked]

    @property
    def title(self) -> str:
        """Title with the machine and the image size."""
        machine = hardware_title(self.machine, self.device, self.threads)
        return f'{machine}, PyTorch; one image of {self.height}x{self.width} pixels'


def check_designs(
    configs: Sequence[str | os.PathLike[str]],
    *,
    height: int = 320,
    width: int = 320,
    device: str = 'cpu',
    threads: int | None = None,
    rounds: int = 20,
    progress: bool = True,
) -> DesignCheck:
    """Check the backbones of configs on this machine, in PyTorch, with random weights and fused norms.

    Args:
        configs: Config files, or names such as ``mmdet::retinanet/retinanet_r50_fpn_1x_coco.py``.
        height, width: Size of the image in pixels.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        threads: Threads on the CPU; None keeps PyTorch's default.
        rounds: Number of timed runs of each backbone; the backbones alternate.

    Raises:
        UserError: If a config, its backbone or the device is invalid.
    """
    usable_device(device)
    if rounds < 1 or height < 1 or width < 1 or (threads is not None and threads < 1):
        raise UserError(f'rounds={rounds} shape={height} {width} threads={threads}: all must be above 0.')
    if threads is not None:
        torch.set_num_threads(threads)
    x = torch.rand(1, 3, height, width, device=device)
    backbones = {str(config): build_backbone(config).to(device) for config in configs}
    operations = {config: _operations(config, backbone, x) for config, backbone in backbones.items()}
    # The calibration networks alternate with the backbones, so that both run under the same conditions.
    references = {f'reference {number}': network for number, network in enumerate(calibration_networks(device))}
    calls = {name: make_call('torch', *network) for name, network in references.items()}
    calls |= {config: make_call('torch', backbone, x) for config, backbone in backbones.items()}
    taken = time_alternating(calls, rounds=rounds, device=device, progress='design check' if progress else None)
    model = fit(
        [trace_operations(*network) for network in references.values()],
        [summarize(taken[name]).median for name in references],
    )
    checked = [
        Checked(
            config=Path(config).stem,
            backbone=type(backbone).__name__,
            multiply_adds=sum(o.multiply_adds for o in operations[config]),
            elements=elements_by_kind(operations[config]),
            depthwise_elements=sum(o.mac for o in operations[config] if is_depthwise(o)),
            violations=find_violations(operations[config], model),
            predicted=sum(map(model.seconds, operations[config])),
            measured=summarize(taken[config]),
            times=time_by_kind(backbone, x, runs=rounds),
        )
        for config, backbone in backbones.items()
    ]
    return DesignCheck(
        machine_name(device), torch.device(device).type, torch.get_num_threads(), height, width, model, checked
    )


def _operations(config: str, backbone: nn.Module, x: torch.Tensor) -> list[Operation]:
    try:
        return trace_operations(backbone, x)
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f'The backbone of {config} cannot read an image of {x.shape[2]}x{x.shape[3]} pixels: '
            f'{str(error).splitlines()[0]}'
        ) from error


def build_backbone(config: str | os.PathLike[str]) -> nn.Module:
    """The backbone of a config with random weights, and norms fused into the convolutions as for deployment.

    Raises:
        UserError: If the config is invalid or has no backbone.
    """
    cfg = load_config(config)
    if 'backbone' not in cfg.model:
        raise UserError(
            f'{config} has no backbone: its model, {cfg.model.get("type")}, has only '
            f'{", ".join(key for key in cfg.model if key != "type") or "a type"}.'
        )
    return fuse_conv_bn(build_model(cfg.model.backbone))
