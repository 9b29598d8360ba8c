import pytest
import torch
from torch import nn

from mmdet_shufflenetv2.paper.guidelines.breakdown import shares, time_by_kind
from mmdet_shufflenetv2.profiling.memory_access import Kind


class Copies(nn.Module):
    def forward(self, x):
        return torch.cat((x, x), dim=1)


RUNTIMES = ['torch', 'onnxruntime']


@pytest.mark.parametrize('runtime', RUNTIMES)
@pytest.mark.parametrize(
    ('network', 'kind'),
    [
        (nn.Conv2d(16, 16, 3), Kind.CONVOLUTION),
        (nn.ReLU(), Kind.ELEMENTWISE),
        (Copies(), Kind.DATA_MOVEMENT),
        (nn.MaxPool2d(3), Kind.OTHER),
    ],
)
def test_time_is_assigned_to_the_kind_of_the_operation(network, kind, runtime):
    if runtime == 'onnxruntime':
        pytest.importorskip('onnx')
        pytest.importorskip(runtime)
    times = time_by_kind(network.eval(), torch.rand(1, 16, 64, 64), runtime, runs=3)
    assert times[kind] > 0
    # PyTorch also creates and views tensors, ONNX Runtime copies into and out of channel blocks.
    extra = Kind.OTHER if runtime == 'torch' else Kind.DATA_MOVEMENT
    assert all(seconds == 0 for other, seconds in times.items() if other not in (kind, extra))


def test_the_time_per_run_does_not_depend_on_the_number_of_runs():
    network, x = nn.Conv2d(64, 64, 3).eval(), torch.rand(1, 64, 64, 64)
    few, many = (time_by_kind(network, x, runs=runs)[Kind.CONVOLUTION] for runs in (5, 50))
    assert 0.1 < few / many < 10  # total times would differ by 10


def test_shares_are_relative_to_the_sum():
    times = {Kind.CONVOLUTION: 0.3, Kind.ELEMENTWISE: 0.1, Kind.DATA_MOVEMENT: 0.0, Kind.OTHER: 0.1}
    assert shares(times) == pytest.approx(
        {Kind.CONVOLUTION: 0.6, Kind.ELEMENTWISE: 0.2, Kind.DATA_MOVEMENT: 0.0, Kind.OTHER: 0.2}
    )
