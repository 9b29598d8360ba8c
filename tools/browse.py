"""Draw sheets of the data before training: images after augmentation with the boxes that the model learns from.

    python tools/browse.py configs/faster_rcnn_snv2.py                        # writes data_sheets/sheet_1.jpg, ...
    python tools/browse.py configs/nanodet_m_snv2.py --data-root /data/coco --count 60 --seed 1
    python tools/browse.py CONFIG --data fish/                                # your own data, see tools/train.py
    python tools/browse.py CONFIG --split val                                 # what evaluation sees
"""

from __future__ import annotations

import argparse

from _tool import add_cfg_options, config_parser, run


def parse_args() -> argparse.Namespace:
    parser = config_parser(__doc__)
    parser.add_argument('config', help='config file, or a checkpoint with its config inside')
    parser.add_argument('--out-dir', default='data_sheets', help='gets the sheets (default: data_sheets)')
    parser.add_argument('--count', type=int, default=24, metavar='N', help='images to draw (default: 24)')
    parser.add_argument('--split', choices=['train', 'val', 'test'], default='train', help='default: train')
    parser.add_argument('--seed', type=int, default=0, help='of the augmentation (default: 0)')
    parser.add_argument('--data', metavar='DIR', help="your own data set, in COCO's format or YOLO's")
    parser.add_argument('--data-root', help="folder in the layout of the config's data root, to use in its place")
    add_cfg_options(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mmdet_shufflenetv2.datasets.browse import browse
    for sheet in browse(args.config, args.out_dir, count=args.count, split=args.split, seed=args.seed,
                        data=args.data, data_root=args.data_root, cfg_options=args.cfg_options):
        print(sheet)


if __name__ == '__main__':
    run(main)
