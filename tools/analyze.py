"""Where a detector goes wrong: AP by class and size, confusions, the worst mistakes as pictures, in one report.html.

    python tools/test.py CONFIG CHECKPOINT --out results.json    # also notes what it evaluated on
    python tools/analyze.py results.json
    python tools/analyze.py others.json --ann data/coco/annotations/instances_val2017.json --images data/coco/val2017
"""

from __future__ import annotations

import argparse

from _tool import run


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('results', metavar='RESULTS.json', help='what tools/test.py --out or a COCO tool wrote')
    parser.add_argument('--ann', metavar='ANNOTATIONS.json', help='COCO annotations of the same images (default: what '
                        'tools/test.py has noted beside the results)')
    parser.add_argument('--images', metavar='DIR', help='folder of the images (default: as for --ann)')
    parser.add_argument('--out', default='report.html', metavar='FILE', help='default: report.html')
    parser.add_argument('--score-thr', type=float, default=0.3,
                        help='lowest score that counts as a mistake; AP takes all (default: 0.3)')
    parser.add_argument('--worst', type=int, default=24, metavar='N',
                        help='how many false positives and how many misses to show (default: 24)')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mmdet_shufflenetv2.analysis.detections import analyze
    scores = analyze(args.results, args.ann, args.images, args.out, score_thr=args.score_thr, worst=args.worst)
    print(f'mmAP {scores.ap:.3f}, AP50 {scores.ap50:.3f}, AP75 {scores.ap75:.3f}\nreport: {args.out}')


if __name__ == '__main__':
    run(main)
