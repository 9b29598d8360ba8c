"""Time only the convolutions in OpenVINO: a lower bound for any form of the network without copies.

    OMP_WAIT_POLICY=PASSIVE python benchmarks/shuffle_free_trials/convolutions_alone.py

It compares the plain and the shuffle-free graph with a network that has all convolutions of ShuffleNet V2 1.0x in their
sizes, but no copies: each unit of a stage reads the output of the previous unit. Its outputs are different.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mmdet_shufflenetv2 import ShuffleNetV2
from mmdet_shufflenetv2.deploy.shuffle_free import shuffle_free
from mmdet_shufflenetv2.deploy.targets.openvino import compile_for_cpu
from mmdet_shufflenetv2.profiling.timing import hardware_title, machine_name, summarize, time_alternating

SHAPE = (1, 3, 800, 1344)
THREADS = 2


class ConvolutionsAlone(nn.Module):
    """``(N, 3, H, W)`` -> half of each stage's channels at strides 8, 16 and 32."""

    def __init__(self, backbone: ShuffleNetV2) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.backbone.maxpool(self.backbone.conv1(x))
        halves = []
        for stage in (self.backbone.stage2, self.backbone.stage3, self.backbone.stage4):
            first, *others = stage
            half = torch.cat([first.branch1(x), first.branch2(x)], 1).chunk(2, 1)[0]
            for unit in others:
                half = unit.branch2(half)
            halves.append(half)
            x = torch.cat([half, half], 1)  # as wide as the next stage expects
        return tuple(halves)


def main() -> None:
    backbone, x = ShuffleNetV2(out_indices=(1, 2, 3)).eval(), torch.rand(SHAPE)
    networks = {
        'plain graph': backbone,
        'shuffle-free': shuffle_free(backbone),
        'convolutions alone': ConvolutionsAlone(backbone).eval(),
    }
    calls = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, network in networks.items():
            path = Path(folder) / f'{name}.onnx'
            torch.onnx.export(network, (x,), path, dynamo=False, input_names=['x'])
            request = compile_for_cpu(path, THREADS, SHAPE).create_infer_request()
            calls[name] = lambda request=request: request.infer([x.numpy()])
    seconds = time_alternating(calls, rounds=61)
    print(hardware_title(machine_name(), 'cpu', THREADS))
    for name in calls:
        ratio = np.median(np.divide(seconds['plain graph'], seconds[name]))
        print(f'{name}: {summarize(seconds[name]).median * 1e3:.1f} ms, {ratio:.2f}x')


if __name__ == '__main__':
    main()
