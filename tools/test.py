"""Evaluate a checkpoint: prints COCO's table and the AP of each class, or top-1 and top-5; writes metrics.json.

    python tools/test.py configs/faster_rcnn_snv2.py work_dirs/faster_rcnn_snv2/epoch_12.pth
    python tools/test.py work_dirs/faster_rcnn_snv2/epoch_12.pth    # its config is inside
    python tools/test.py CONFIG CHECKPOINT --out results.json --show-dir pictures
    python tools/test.py configs/imagenet/shufflenet_v2_torchvision_1.0x.py \\
        torchvision://shufflenet_v2_x1_0.imagenet1k_v1
"""

from __future__ import annotations

import argparse
import os

from _tool import add_cfg_options, config_parser, run


def parse_args() -> argparse.Namespace:
    parser = config_parser(__doc__)
    parser.add_argument('config', nargs='?', help='config file; by default the one inside the checkpoint')
    parser.add_argument('checkpoint', help="weights of the config's model")
    parser.add_argument('--work-dir', help='where metrics.json goes (default: work_dirs/NAME_OF_CONFIG)')
    parser.add_argument('--data', metavar='DIR', help="your own data set, in COCO's format or YOLO's "
                        "(default: that of the checkpoint's run)")
    parser.add_argument('--data-root', help="folder in the layout of the config's data root, to use in its place")
    parser.add_argument('--out', metavar='FILE', help="detections: .json for COCO's format, .pkl for MMDetection's")
    parser.add_argument('--show', action='store_true', help='open one window per image')
    parser.add_argument('--show-dir', help='folder, below the log, for pictures: ground truth left, detections right')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds that a window stays')
    parser.add_argument('--tta', action='store_true', help='average over each image and its mirror image')
    parser.add_argument('--shuffle-free', action='store_true', help='run the backbone in its shuffle-free form')
    add_cfg_options(parser)
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none',
                        help='how the processes of a distributed run were started')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    from mmdet_shufflenetv2.engine.testing import evaluate
    evaluate(
        args.config, args.checkpoint, work_dir=args.work_dir, data_root=args.data_root, data=args.data, out=args.out,
        show=args.show, show_dir=args.show_dir, wait_time=args.wait_time, tta=args.tta, shuffle_free=args.shuffle_free,
        cfg_options=args.cfg_options, launcher=args.launcher)


if __name__ == '__main__':
    run(main)
