"""Every problem of a data set in one pass: what is wrong, how often, and examples.

    python tools/check_dataset.py annotations/instances_train.json --images images/
    python tools/check_dataset.py fish/ --json problems.json
    python tools/check_dataset.py configs/faster_rcnn_snv2.py

Ends with exit status 1 if a problem is fatal for training, else 0; 2 if there is nothing to check.
"""

from __future__ import annotations

import argparse
import sys

from _tool import config_parser, run


def parse_args() -> argparse.Namespace:
    parser = config_parser(__doc__)
    parser.add_argument('source', nargs='?', metavar='ANNOTATIONS.json|DIR|CONFIG',
                        help="annotation file in COCO's format, folder of a data set in COCO's format or YOLO's, or a "
                             'config, whose data are checked')
    parser.add_argument('--images', metavar='DIR', help='folder of its images (default: found near it)')
    parser.add_argument('--data', metavar='DIR', help='the same as naming the folder alone')
    parser.add_argument('--json', metavar='OUT', help='write the reports there too')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mmdet_shufflenetv2.own_data.check import check_dataset
    reports = check_dataset(args.source, args.images, args.data, args.json)
    print('\n'.join(map(str, reports)))
    sys.exit(1 if any(report.fatal for report in reports) else 0)


if __name__ == '__main__':
    run(main)
