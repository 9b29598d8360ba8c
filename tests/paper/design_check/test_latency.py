import numpy as np
import pytest
import torch
from torch import nn

from mmdet_shufflenetv2.paper.design_check.latency import LatencyModel, calibration_networks, fit, is_depthwise
from mmdet_shufflenetv2.profiling.memory_access import Kind, trace_operations

LAYERS = [
    (nn.Conv2d(8, 8, 1), 8),
    (nn.Conv2d(8, 64, 1), 8),
    (nn.Conv2d(8, 8, 5, groups=8), 8),
    (nn.Conv2d(8, 8, 3), 8),
    (nn.ReLU(), 8),
    (nn.ReLU(), 40),
    (nn.MaxPool2d(2), 8),
    (nn.MaxPool2d(2), 40),
    (nn.ChannelShuffle(2), 8),
    (nn.ChannelShuffle(2), 40),
    (nn.Linear(16, 16), 8),
    (nn.Linear(16, 4), 8),
]
PRICES = {
    'operation': 1e-5,
    'multiply-add': 2e-10,
    'depthwise': 5e-9,
    Kind.CONVOLUTION: 3e-9,
    Kind.MATRIX_PRODUCT: 4e-9,
    Kind.ELEMENTWISE: 7e-9,
    Kind.DATA_MOVEMENT: 1e-8,
    Kind.OTHER: 2e-8,
}


def traces():
    return [trace_operations(layer, torch.rand(1, channels, 16, 16)) for layer, channels in LAYERS]


def test_known_prices_are_recovered():
    truth = LatencyModel(PRICES, 0)
    model = fit(traces(), [sum(map(truth.seconds, operations)) for operations in traces()])
    assert model.prices == pytest.approx(PRICES, rel=1e-6)
    assert model.error == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ('layer', 'expected'),
    [
        (nn.Conv2d(8, 16, 1), 1e-5 + 2e-10 * 8 * 16 * 256 + 3e-9 * ((8 + 16) * 256 + 8 * 16)),
        (nn.Conv2d(8, 8, 1, groups=8), 1e-5 + 5e-9 * (16 * 256 + 8)),
        (nn.ReLU(), 1e-5 + 7e-9 * 16 * 256),
        (nn.Linear(16, 4), 1e-5 + 2e-10 * 16 * 4 * 128 + 4e-9 * ((16 + 4) * 128 + 16 * 4)),
    ],
)
def test_the_time_of_an_operation_is_its_counts_times_their_prices(layer, expected):
    [operation] = trace_operations(layer, torch.rand(1, 8, 16, 16))
    assert LatencyModel(PRICES, 0).seconds(operation) == pytest.approx(expected)


def test_prices_are_nonnegative_and_the_error_is_the_median():
    seconds = np.random.default_rng(0).uniform(1e-4, 1e-3, len(LAYERS))
    model = fit(traces(), seconds)
    assert min(model.prices.values()) >= 0
    off = [abs(sum(map(model.seconds, operations)) / taken - 1) for operations, taken in zip(traces(), seconds)]
    assert model.error == pytest.approx(np.median(off))


@pytest.mark.parametrize(('groups', 'expected'), [(1, False), (4, False), (8, True)])
def test_depthwise_means_one_channel_per_group(groups, expected):
    [operation] = trace_operations(nn.Conv2d(8, 8, 1, groups=groups), torch.rand(1, 8, 4, 4))
    assert is_depthwise(operation) == expected


def test_a_convolution_of_a_single_channel_is_not_depthwise():
    [operation] = trace_operations(nn.Conv2d(1, 8, 1), torch.rand(1, 1, 4, 4))
    assert not is_depthwise(operation)


def test_the_calibration_networks_determine_all_prices(monkeypatch):
    monkeypatch.setattr('mmdet_shufflenetv2.paper.guidelines.networks.MAP_SIZE', 7)
    operations = [trace_operations(network, x) for network, x in calibration_networks()]
    truth = LatencyModel(PRICES, 0)
    model = fit(operations, [sum(map(truth.seconds, each)) for each in operations])
    assert model.prices == pytest.approx(PRICES, rel=1e-6)
