"""Latency, memory and cost of a backbone, or of whole detectors, in every form that can be run here.

    python tools/benchmark.py --width 1.0 --shape 800 1344 --shape 320 320
    python tools/benchmark.py --config configs/faster_rcnn_snv2.py --config configs/retinanet_snv2.py --shape 800 1333
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path

from _tool import config_parser, run


def parse_args() -> argparse.Namespace:
    parser = config_parser(__doc__)
    parser.add_argument('--width', type=float, default=1.0, help='width of the backbone (default: 1.0)')
    parser.add_argument('--config', action='append', help="measure a config's whole detector; may be given repeatedly")
    parser.add_argument('--checkpoint', help='weights of the only --config or of the one inside (default: random)')
    parser.add_argument('--shape', nargs=2, type=int, action='append', metavar=('HEIGHT', 'WIDTH'),
                        help='size of the input in pixels; may be given repeatedly (default: 800 1344)')
    parser.add_argument('--threads', type=int, default=2, help='threads that compute (default: 2)')
    parser.add_argument('--rounds', type=int, default=30, help='rounds in which each form runs once (default: 30)')
    parser.add_argument('--device', default='cpu', help='cpu (default), cuda, cuda:1, ...')
    parser.add_argument('--skip', nargs='+', default=[], metavar='WORD',
                        help='leave out forms with this in their name, such as compiled')
    parser.add_argument('--no-memory', action='store_true', help='do not measure peak memory, which takes longest')
    parser.add_argument('--out-dir', help='gets README.md, results.json and latency.png (default: '
                                          'benchmarks/latency/NAME_OF_MACHINE)')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mmdet_shufflenetv2.analysis.benchmark import Task, run_benchmarks
    tasks = [Task(*shape, threads=args.threads, device=args.device, widen_factor=args.width, config=config,
                  checkpoint=args.checkpoint)
             for config in args.config or [None] for shape in args.shape or [(800, 1344)]]
    out = run_benchmarks(tasks, out=args.out_dir and Path(args.out_dir), rounds=args.rounds,
                         memory=not args.no_memory, skip=args.skip,
                         command=f'python {shlex.join(sys.argv)}')
    print((out / 'README.md').read_text())
    print(f'{out}/README.md, results.json, latency.png')


if __name__ == '__main__':
    # Threads that spin while they wait would slow the runtime whose turn it is; read when PyTorch is imported.
    os.environ |= {'OMP_WAIT_POLICY': 'PASSIVE', 'GOMP_SPINCOUNT': '0'}
    run(main)
