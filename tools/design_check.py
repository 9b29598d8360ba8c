"""Say where backbones violate the four guidelines of the ShuffleNet V2 paper, and what that costs on this machine.

    python tools/design_check.py configs/faster_rcnn_snv2.py
    python tools/design_check.py configs/retinanet_snv2*.py mmdet::retinanet/retinanet_r50_fpn_1x_coco.py \\
        mmdet::ssd/ssdlite_mobilenetv2-scratch_8xb24-600e_coco.py --figure backbones.png

One config is gone through layer by layer, several are put side by side.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from _tool import config_parser, run


def parse_args() -> argparse.Namespace:
    parser = config_parser(__doc__)
    parser.add_argument('configs', nargs='+', metavar='CONFIG', help='config files, or mmdet::NAME for one of mmdet')
    parser.add_argument('--shape', nargs=2, type=int, default=(320, 320), metavar=('HEIGHT', 'WIDTH'),
                        help='size of the image in pixels (default: 320 320)')
    parser.add_argument('--device', default='cpu', help='cpu, cuda, cuda:1, ... (default: cpu)')
    parser.add_argument('--threads', type=int, metavar='N', help="threads on the CPU (default: PyTorch's own choice)")
    parser.add_argument('--rounds', type=int, default=20, help='how often each backbone is timed (default: 20)')
    parser.add_argument('--figure', type=Path, metavar='FILE', help='draw the backbones side by side')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mmdet_shufflenetv2.analysis.design_check import figure, report
    from mmdet_shufflenetv2.analysis.design_check.check import check_designs
    from mmdet_shufflenetv2.pictures import check_plot_file
    if args.figure:
        check_plot_file(args.figure, '--figure')
    check = check_designs(args.configs, height=args.shape[0], width=args.shape[1], device=args.device,
                          threads=args.threads, rounds=args.rounds)
    if len(args.configs) == 1:
        print(report.layers_markdown(check.checked[0]) + '\n')
    print(report.sums_markdown(check))
    if args.figure:
        figure.draw(check, args.figure)
        print(args.figure)


if __name__ == '__main__':
    run(main)
