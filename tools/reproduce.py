"""Reproduce a row of the paper's tables: train, evaluate, and print it beside what was published.

    python tools/reproduce.py --table imagenet --width 1.0 --data-root /data/imagenet
    python tools/reproduce.py --table coco --width 1.0 --star --pretrain --gpus 8
    python tools/reproduce.py --table coco --width 1.0 --weights imagenet.pth --dry-run
    python tools/reproduce.py --report docs/results.md

A run that was stopped goes on with --resume: its state is what lies in its output folder.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from _tool import config_parser, run


def parse_args() -> argparse.Namespace:
    parser = config_parser(__doc__)
    what = parser.add_argument_group('the row')
    what.add_argument('--table', help='imagenet (table 8) or coco (table 7)')
    what.add_argument('--width', help='0.5, 1.0, 1.5 or 2.0')
    what.add_argument('--star', action='store_true', help='ShuffleNet V2*, for detection')
    what.add_argument('--se', action='store_true', help='with squeeze-and-excitation')
    how = parser.add_argument_group('how')
    how.add_argument('--data-root', help="folder of the table's data set (default: the config's)")
    how.add_argument('--pretrain', action='store_true', help='table coco: train the backbone on ImageNet first')
    how.add_argument('--imagenet-root', help="folder of ImageNet for --pretrain (default: the config's)")
    how.add_argument('--weights', metavar='FILE',
                     help='table coco: weights that the backbone starts from; table imagenet: weights to evaluate')
    how.add_argument('--config', help="config in place of the row's own")
    how.add_argument('--classifier-config', help="config of the training on ImageNet in place of the row's own")
    how.add_argument('--gpus', type=int, default=1, help='GPUs of this machine to train on (default: 1)')
    how.add_argument('--out', type=Path, help='output folder (default: work_dirs/reproduce/NAME_OF_ROW)')
    how.add_argument('--resume', action='store_true', help='go on with the run that lies in the output folder')
    how.add_argument('--dry-run', action='store_true', help='say what would run; estimate the hours')
    parser.add_argument('--report', type=Path, metavar='FILE',
                        help='write all tables, with the results below work_dirs/reproduce (or --out), and stop')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    root = Path('work_dirs/reproduce')
    if args.report:
        from mmdet_shufflenetv2.reproduce.results import write_report
        write_report(args.report, args.out or root)
        print(f'tables: {args.report}')
        return
    from mmdet_shufflenetv2.reproduce.chain import run_row
    from mmdet_shufflenetv2.reproduce.dry_run import dry_run
    from mmdet_shufflenetv2.reproduce.request import Request
    from mmdet_shufflenetv2.reproduce.rows import find_row
    row = find_row(args.table, args.width, star=args.star, se=args.se)
    request = Request(
        row, args.out or root / row.name, data_root=args.data_root, pretrain=args.pretrain,
        imagenet_root=args.imagenet_root, weights=args.weights, config=args.config,
        classifier_config=args.classifier_config, gpus=args.gpus)
    for line in dry_run(request) if args.dry_run else run_row(request, resume=args.resume):
        print(line, flush=True)


if __name__ == '__main__':
    run(main)
