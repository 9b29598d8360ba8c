"""Parameters and multiply-adds of detectors, as a Markdown table.

    python tools/complexity.py configs/faster_rcnn_snv2*.py configs/retinanet_snv2*.py
    python tools/complexity.py configs/faster_rcnn_snv2.py --shape 320 320
    python tools/complexity.py --variants        # every backbone, with a classifier, beside the paper's figures
"""

from __future__ import annotations

import sys

from _tool import config_parser, run


def main() -> None:
    parser = config_parser(__doc__)
    parser.add_argument('configs', nargs='*', metavar='CONFIG', help='config files')
    parser.add_argument('--variants', action='store_true', help='every variant of the backbone on a 224x224 image')
    parser.add_argument('--shape', nargs=2, type=int, default=(800, 1333), metavar=('HEIGHT', 'WIDTH'),
                        help='size of the image in pixels (default: 800 1333)')
    args = parser.parse_args()
    if bool(args.configs) == args.variants:
        parser.error('name config files, or --variants')
    if args.variants:
        from mmdet_shufflenetv2.analysis.variants import variants, variants_table
        print('counting every variant of the backbone', file=sys.stderr)
        print(variants_table(variants()))
        return
    from mmdet_shufflenetv2.analysis.complexity import detector_complexity, markdown_table
    rows = []
    for number, config in enumerate(args.configs, start=1):
        print(f'[{number}/{len(args.configs)}] {config}', file=sys.stderr)
        rows.append(detector_complexity(config, *args.shape))
    print(markdown_table(rows))


if __name__ == '__main__':
    run(main)
