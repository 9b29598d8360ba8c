"""Measure the four guidelines of the ShuffleNet V2 paper on this machine.

    python tools/guidelines.py
    python tools/guidelines.py --threads 1 --runtime onnxruntime
    python tools/guidelines.py --device cuda --table G2
"""

from __future__ import annotations

import argparse
from pathlib import Path

from _tool import run


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--device', default='cpu', help='cpu, cuda, cuda:1, ... (default: cpu)')
    parser.add_argument('--threads', type=int, metavar='N', help="threads on the CPU (default: PyTorch's own choice)")
    parser.add_argument('--runtime', choices=['torch', 'onnxruntime'], default='torch', help='default: torch')
    parser.add_argument('--table', choices=['G1', 'G2', 'G3', 'G4', 'all'], default='all', help='default: all')
    parser.add_argument('--channels', choices=['gpu', 'arm'],
                        help="which of the paper's channel counts (default: gpu on a GPU, arm on a CPU)")
    parser.add_argument('--seconds', type=float, default=10, help='how long to time a column of a table (default: 10)')
    parser.add_argument('--out-dir', type=Path, help='default: benchmarks/guidelines/NAME_OF_THE_MACHINE')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mmdet_shufflenetv2.analysis.guidelines import report, suite, tables
    from mmdet_shufflenetv2.analysis.timing import slug
    measured = suite.run(
        list(tables.TABLES) if args.table == 'all' else [args.table], device=args.device, threads=args.threads,
        runtime=args.runtime, family=args.channels, seconds=args.seconds, out_dir=args.out_dir)
    print(report.markdown(measured))
    for path in report.save(measured, args.out_dir or Path('benchmarks/guidelines') / slug(measured.machine)):
        print(path)


if __name__ == '__main__':
    run(main)
