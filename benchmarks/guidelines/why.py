"""Measurements that explain results of ``snv2 guidelines``.

    python benchmarks/guidelines/why.py blocks --threads 2 --runtime onnxruntime
    python benchmarks/guidelines/why.py fusion
    python benchmarks/guidelines/why.py memory --threads 2
    python benchmarks/guidelines/why.py pooling --threads 1

blocks: Does it matter whether a width is a multiple of 16? Libraries for AVX-512 store channels in blocks of 16. Times
    networks of tables 1 to 3, and similar ones whose widths (per group, if there are groups) are multiples of 16.
fusion: What do ReLUs and shortcuts cost in ONNX Runtime, which fuses them into convolutions if possible? Times the
    networks of table 4, each also after one more convolution.
memory: How often must the system allocate memory? Prints the page faults and the time per run of each network. With
    MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=4294967296 in the environment, glibc keeps freed memory.
pooling: What does ShuffleNet's only max pooling cost in PyTorch, in both memory formats, compared to the convolution
    before it?
"""

from __future__ import annotations

import argparse
import resource
from itertools import product

import torch
from torch import nn

import mmdet_shufflenetv2  # noqa: F401  (prepares mmcv)
from mmdet_shufflenetv2.paper.guidelines.networks import balanced, bottlenecks, fragmented, grouped, random_input
from mmdet_shufflenetv2.paper.guidelines.runtimes import RUNTIMES, make_call
from mmdet_shufflenetv2.paper.guidelines.verdict import compare
from mmdet_shufflenetv2.profiling.complexity import count_multiply_adds
from mmdet_shufflenetv2.profiling.timing import hardware_title, machine_name, summarize, time_alternating

# The paper's network, and one whose widths are multiples of 16.
PAIRS = {
    'G1 x4, 1:2': (balanced(88, 176), balanced(96, 176)),
    'G1 x4, 1:6': (balanced(52, 312), balanced(48, 336)),
    'G1 x4, 1:12': (balanced(36, 432), balanced(32, 512)),
    'G2 x2, 2 groups': (grouped(180, 2), grouped(192, 2)),
    'G2 x4, 8 groups': (grouped(720, 8), grouped(768, 8)),
    'G3 x1, 2 in series': (fragmented(45, 2), fragmented(48, 2)),
    'G3 x2, 2 in series': (fragmented(90, 2), fragmented(96, 2)),
}


def blocks(runtime: str, rounds: int) -> None:
    print(
        "| network | widths: the paper's / multiples of 16 | time for a multiply-add, ratio | spread |\n"
        '| --- | --- | --- | --- |'
    )
    for name, networks in PAIRS.items():
        inputs = [random_input(network) for network in networks]
        counts = [count_multiply_adds(*each) for each in zip(networks, inputs)]
        taken = time_alternating(
            {
                str(number): make_call(runtime, network.eval(), x)
                for number, (network, x) in enumerate(zip(networks, inputs))
            },
            rounds=rounds,
        )
        theirs, aligned = ([seconds / count for seconds in taken[str(number)]] for number, count in enumerate(counts))
        ratio, low, high, _ = compare(aligned, theirs)
        print(f'| {name} | {" / ".join(map(_widths, networks))} | {ratio:.2f} | {low:.2f} to {high:.2f} |', flush=True)


def _widths(network: nn.Module) -> str:
    first = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
    return f'{first.in_channels} -> {first.out_channels}'


def fusion(runtime: str, rounds: int) -> None:
    networks = {}
    for channels, relu, shortcut in product((64, 128), (True, False), (True, False)):
        name = f'{channels} | {"yes" if relu else "no"} | {"yes" if shortcut else "no"}'
        stack = bottlenecks(channels, relu, shortcut)
        networks[name] = stack, nn.Sequential(nn.Conv2d(channels, channels, 1, bias=False), *stack)
    calls = {
        (name, place): make_call(runtime, network.eval(), random_input(network))
        for name, pair in networks.items()
        for place, network in enumerate(pair)
    }
    taken = time_alternating(calls, rounds=rounds)
    print(
        '| c | ReLU | shortcut | alone (ms) | over neither | behind a convolution (ms) | over neither |\n'
        + '| --- ' * 7
        + '|'
    )
    for name in networks:
        cells = []
        for place in (0, 1):
            ratio = compare(taken[f'{name.split()[0]} | no | no', place], taken[name, place]).ratio
            cells += [f'{summarize(taken[name, place]).median * 1e3:.2f}', f'{ratio:.2f}']
        print(f'| {name} | {" | ".join(cells)} |')


def memory(runtime: str, rounds: int) -> None:
    networks = {
        'G1 x4, 1:1': balanced(128, 128),
        'G1 x4, 1:6': balanced(52, 312),
        'G1 x4, 1:12': balanced(36, 432),
        'G2 x4, 1 group': grouped(256, 1),
        'G2 x4, 4 groups': grouped(512, 4),
        'G2 x4, 8 groups': grouped(720, 8),
    }
    print('| network | milliseconds | spread | page faults per run |\n| --- | --- | --- | --- |')
    for name, network in networks.items():  # not alternately: one network would reuse memory of another
        call = make_call(runtime, network.eval(), random_input(network))
        call()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        timing = summarize(time_alternating({name: call}, rounds=rounds, warmup=0)[name])
        faults = (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / rounds
        print(f'| {name} | {timing.median * 1e3:.1f} | {timing.spread:.0%} | {faults:.0f} |', flush=True)


def pooling(runtime: str, rounds: int) -> None:
    image, x = torch.rand(1, 3, 224, 224), torch.rand(1, 24, 112, 112)
    conv, pool = nn.Conv2d(3, 24, 3, stride=2, padding=1).eval(), nn.MaxPool2d(3, stride=2, padding=1)
    calls = {
        'convolution 3 -> 24, stride 2': make_call(runtime, conv, image),
        'max pooling': make_call(runtime, pool, x),
    }
    if runtime == 'torch':
        calls['max pooling, channels last'] = make_call(runtime, pool, x.contiguous(memory_format=torch.channels_last))
    print('| layer | milliseconds | spread |\n| --- | --- | --- |')
    for name, seconds in time_alternating(calls, rounds=rounds).items():
        timing = summarize(seconds)
        print(f'| {name} | {timing.median * 1e3:.2f} | {timing.spread:.0%} |')


def main() -> None:
    questions = dict(blocks=blocks, fusion=fusion, memory=memory, pooling=pooling)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('question', choices=questions)
    parser.add_argument('--runtime', choices=RUNTIMES, help='default: onnxruntime for fusion, else torch')
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--rounds', type=int, default=70)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    runtime = args.runtime or ('onnxruntime' if args.question == 'fusion' else 'torch')
    print(f'{hardware_title(machine_name(), "cpu", args.threads)}, {runtime}; medians of {args.rounds} rounds\n')
    questions[args.question](runtime, args.rounds)


if __name__ == '__main__':
    main()
