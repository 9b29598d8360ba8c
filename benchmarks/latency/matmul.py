"""Peak operations per second of this machine: PyTorch's product of two square matrices in float32.

OMP_WAIT_POLICY=PASSIVE python benchmarks/latency/matmul.py --threads 2
"""

from __future__ import annotations

import argparse

import torch

from mmdet_shufflenetv2.profiling.timing import hardware_title, machine_name, summarize, time_alternating


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--sizes', type=int, nargs='+', default=[1024, 2048, 4096])
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(hardware_title(machine_name(), 'cpu', args.threads))
    for size in args.sizes:
        a, b = torch.rand(size, size), torch.rand(size, size)
        seconds = time_alternating({'product': lambda a=a, b=b: a @ b}, rounds=15)['product']
        rate, best = (2 * size**3 / taken / 1e9 for taken in (summarize(seconds).median, min(seconds)))
        print(f'{size}x{size}: {rate:.0f} GFLOP/s in the median, {best:.0f} at best')


if __name__ == '__main__':
    main()
