from fractions import Fraction
from statistics import quantiles

import pytest
import torch

from mmdet_shufflenetv2.profiling.timing import hardware_title, machine_name, slug, summarize, time_alternating


def test_calls_alternate_in_an_order_that_is_reversed_every_round():
    order = []
    calls = {name: (lambda name=name: order.append(name)) for name in 'abc'}
    seconds = time_alternating(calls, rounds=3, warmup=1)
    assert ''.join(order) == 'abc' + 'cba' + 'abc' + 'cba'
    assert {name: len(rounds) for name, rounds in seconds.items()} == {'a': 3, 'b': 3, 'c': 3}


def test_calls_are_timed_in_seconds_after_the_warm_up(monkeypatch):
    now = 0.0
    naps = iter([2.0, 0.25, 0.5])

    def nap():
        nonlocal now
        now += next(naps)

    with monkeypatch.context() as patched:
        patched.setattr('time.perf_counter', lambda: now)
        seconds = time_alternating({'nap': nap}, rounds=2, warmup=1)
    assert seconds == {'nap': [0.25, 0.5]}


@pytest.mark.parametrize(('progress', 'shown'), [(None, False), ('G1', True)])
def test_a_progress_bar_is_shown_if_it_has_a_title(progress, shown, capsys):
    time_alternating({'a': int}, rounds=2, progress=progress)
    assert ('G1' in capsys.readouterr().err) == shown


def test_the_summary_matches_the_quantiles():
    seconds = [5.0, 1.0, 2.0, 9.0, 4.0, 3.0, 8.0, 7.0, 6.0, 10.0, 11.0]
    q1, q2, q3 = quantiles(map(Fraction, seconds), n=4, method='inclusive')
    tenths = quantiles(map(Fraction, seconds), n=10, method='inclusive')
    assert summarize(seconds) == pytest.approx((q2, tenths[8], (q3 - q1) / q2))


def test_the_processors_name_is_read_from_cpuinfo(tmp_path):
    cpuinfo = tmp_path / 'cpuinfo'
    cpuinfo.write_text('processor\t: 0\nmodel\t\t: 1\nmodel name\t: AMD EPYC 7763 64-Core Processor\n')
    assert machine_name('cpu', cpuinfo) == 'AMD EPYC 7763 64-Core Processor'
    assert machine_name('cpu', tmp_path / 'nothing')


@pytest.mark.parametrize(
    ('device', 'threads', 'expected'), [('cpu', 1, 'Z80, 1 thread'), ('cpu', 2, 'Z80, 2 threads'), ('cuda:1', 2, 'Z80')]
)
def test_a_title_contains_the_hardware_and_threads(device, threads, expected):
    assert hardware_title('Z80', device, threads) == expected


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('AMD EPYC 7763 64-Core Processor', 'amd-epyc-7763-64-core-processor'),
        ('Intel(R) Core(TM) i7-8700K CPU @ 3.70GHz', 'intel-r-core-tm-i7-8700k-cpu-3-70ghz'),
        ('NVIDIA GeForce GTX 1080 Ti', 'nvidia-geforce-gtx-1080-ti'),
    ],
)
def test_a_slug_is_a_valid_folder_name(name, expected):
    assert slug(name) == expected


@pytest.mark.gpu
def test_a_gpu_is_timed_until_it_has_finished():
    x = torch.rand(4096, 4096, device='cuda')
    seconds = time_alternating(
        {'one': lambda: x @ x, 'ten': lambda: [x @ x for _ in range(10)]}, rounds=5, device='cuda'
    )
    assert min(seconds['ten']) > 3 * min(seconds['one'])
