"""Put COCO 2017 where the configs expect it: downloaded with resume, checked, unpacked, counted.

    python tools/prepare_coco.py                                  # everything: 20 GB of traffic, 40 GB of disk
    python tools/prepare_coco.py --splits val2017                 # to evaluate only: 1.1 GB
    python tools/prepare_coco.py --subset 1000 --seed 0           # val2017 and 1000 images of train2017
    python tools/prepare_coco.py --from ~/Downloads               # archives, or folders, that are there already
"""

from __future__ import annotations

import argparse

from _tool import run


def parse_args() -> argparse.Namespace:
    from mmdet_shufflenetv2.datasets.coco.published import BASE_URL, SPLITS
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--root', default='data/coco', metavar='DIR', help='where it goes (default: data/coco)')
    parser.add_argument('--splits', nargs='+', default=list(SPLITS), metavar='SPLIT',
                        help=f'{" or ".join(SPLITS)} (default: both)')
    parser.add_argument('--subset', type=int, metavar='N', help='take only N images of train2017')
    parser.add_argument('--seed', type=int, default=0, help='which N images (default: 0)')
    parser.add_argument('--from', dest='source', metavar='DIR_OR_ZIP',
                        help='archives or folders that are there already')
    parser.add_argument('--base-url', default=BASE_URL, metavar='URL', help=f'another server (default: {BASE_URL})')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mmdet_shufflenetv2.datasets.coco import prepare_coco
    options = prepare_coco(args.root, args.splits, args.subset, args.seed, args.source, args.base_url)
    print(' '.join(['python tools/train.py configs/faster_rcnn_snv2.py --data-root', args.root, *options]))


if __name__ == '__main__':
    run(main)
