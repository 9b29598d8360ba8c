"""Does it matter that a width is a multiple of 16? Networks of tables 1 to 3 beside ones of the nearest such widths.

    python benchmarks/guidelines/channel_blocks.py --threads 2
    python benchmarks/guidelines/channel_blocks.py --threads 1 --runtime onnxruntime

Libraries for AVX-512 processors keep channels in blocks of 16. Each row has two networks of much the same widths; what
differs is whether these (those of a group, where there are groups) fill such blocks.
"""

from __future__ import annotations

import argparse

import torch

import mmdet_shufflenetv2  # noqa: F401  (prepares mmcv)
from mmdet_shufflenetv2.analysis.complexity import count_multiply_adds
from mmdet_shufflenetv2.analysis.guidelines.networks import balanced, fragmented, grouped, random_input
from mmdet_shufflenetv2.analysis.guidelines.runtimes import prepared
from mmdet_shufflenetv2.analysis.guidelines.verdict import compare
from mmdet_shufflenetv2.analysis.timing import machine_name, time_alternating

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--runtime', choices=['torch', 'onnxruntime'], default='torch')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--rounds', type=int, default=70)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f'{machine_name()}, {args.threads} threads, {args.runtime}; medians of {args.rounds} alternating rounds\n\n'
          '| network | widths: the paper\'s / multiples of 16 | time for a multiply-add, ratio | spread |\n'
          '| --- | --- | --- | --- |')
    for name, networks in PAIRS.items():
        calls = {str(number): prepared(args.runtime, network.eval(), random_input(network))
                 for number, network in enumerate(networks)}
        taken = time_alternating(calls, rounds=args.rounds)
        counts = [count_multiply_adds(network, random_input(network)) for network in networks]
        each = [[seconds / count for seconds in taken[str(number)]] for number, count in enumerate(counts)]
        ratio, low, high, _ = compare(each[1], each[0])
        widths = ' / '.join('-'.join(str(c) for c in (first.in_channels, first.out_channels)) for first in (
            next(m for m in network.modules() if isinstance(m, torch.nn.Conv2d)) for network in networks))
        print(f'| {name} | {widths} | {ratio:.2f} | {low:.2f} to {high:.2f} |', flush=True)


if __name__ == '__main__':
    main()
