"""Two further uses of the shuffle-free order that were tried and rejected: see the README in this folder.

python benchmarks/shuffle_free_trials/run.py
"""

from __future__ import annotations

import os

os.environ |= {'OMP_WAIT_POLICY': 'PASSIVE', 'GOMP_SPINCOUNT': '0'}  # read when PyTorch is imported

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmdet_shufflenetv2 import ShuffleNetV2
from mmdet_shufflenetv2.deploy import shuffle_free
from mmdet_shufflenetv2.profiling.timing import machine_name, time_alternating


def compare(title: str, before: tuple, after: tuple, rounds: int) -> None:
    """Time two calls alternately and print the median of the rounds' ratios."""
    seconds = time_alternating({'before': before[1], 'after': after[1]}, rounds=rounds, warmup=5)
    ratio = np.median(np.array(seconds['before']) / np.array(seconds['after']))
    print(f'{title}: {after[0]} {ratio:.2f}x as fast as {before[0]}')


# Training in the shuffle-free order: batch norms are added after every convolution again; weights do not matter.


def with_norms(module: nn.Module) -> nn.Module:
    """The module with a batch norm after each convolution, as in training."""
    for name, child in list(module.named_children()):
        setattr(
            module,
            name,
            nn.Sequential(child, nn.BatchNorm2d(child.out_channels))
            if isinstance(child, nn.Conv2d)
            else with_norms(child),
        )
    return module


def kept_for_backward(module: nn.Module, x: Tensor) -> float:
    """MiB of activations that the forward pass keeps for the backward pass."""
    kept = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        outs = module(x)  # keeps them alive, so that no two activations share an address
    weights = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}
    assert outs
    return sum(size for address, size in kept.items() if address not in weights) / 2**20


def training() -> None:
    plain = ShuffleNetV2().train()
    ordered = with_norms(shuffle_free(ShuffleNetV2().eval(), restore_order=False)).train().requires_grad_(True)
    x = torch.randn(4, 3, 320, 320)

    def step(module: nn.Module) -> None:
        sum(out.square().mean() for out in module(x)).backward()
        module.zero_grad()

    print(
        f'activations kept in training, 4 images of 320x320: plain {kept_for_backward(plain, x):.0f} MiB, '
        f'shuffle-free order {kept_for_backward(ordered, x):.0f} MiB'
    )
    compare('training step', ('plain', lambda: step(plain)), ('shuffle-free order', lambda: step(ordered)), 10)


# Pointwise convolutions as matrix products that read and write slices of one buffer: no split and no cat.


def strided_products(height: int = 50, width: int = 84, half: int = 116, units: int = 7) -> None:
    later = half // 2
    first, second = torch.randn(half, half) / half**0.5, torch.randn(half, half) / half**0.5
    depthwise, bias = torch.randn(half, 1, 3, 3), torch.zeros(half)
    kernels = [
        weight.t().reshape(half, half, 1, 1).contiguous(memory_format=torch.channels_last) for weight in (first, second)
    ]
    x = torch.randn(1, 2 * half, height, width).contiguous(memory_format=torch.channels_last)
    buffer = torch.zeros(height * width, (units + 1) * half + later)

    @torch.no_grad()
    def with_cat() -> Tensor:
        waiting, made = x.split(half, 1)
        for _ in range(units):
            read = torch.cat((waiting[:, :later], made[:, :later]), 1)
            y = F.conv2d(F.relu(F.conv2d(read, kernels[0], bias)), depthwise, padding=1, groups=half)
            waiting, made = made, F.relu(F.conv2d(y, kernels[1], bias))
        return made

    @torch.no_grad()
    def in_place() -> Tensor:
        read = buffer[:, :half]
        for unit in range(1, units + 1):
            y = torch.addmm(bias, read, first).relu_().view(1, height, width, half).permute(0, 3, 1, 2)
            y = F.conv2d(y, depthwise, padding=1, groups=half).permute(0, 2, 3, 1).reshape(-1, half)
            middle = unit * half
            torch.addmm(bias[:later], y, second[:, :later], out=buffer[:, middle - later : middle])
            torch.addmm(bias[later:], y, second[:, later:], out=buffer[:, middle : middle + half - later])
            read = buffer[:, middle - later : middle + half - later].relu_()
        return read

    compare(
        f'{units} units of {2 * half} channels at {height}x{width}',
        ('channels_last with cat', with_cat),
        ('strided products', in_place),
        60,
    )


if __name__ == '__main__':
    torch.manual_seed(0)
    torch.set_num_threads(2)
    print(f'{machine_name()}, 2 threads, torch {torch.__version__}')
    training()
    strided_products()
