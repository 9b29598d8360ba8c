"""Draw loss, learning rate and AP of a run, or of several over one another, from their logs.

    python tools/plot_run.py work_dirs/faster_rcnn_snv2                       # writes curves.png there
    python tools/plot_run.py work_dirs/first work_dirs/second --out both.png
"""

from __future__ import annotations

import argparse

from _tool import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('runs', nargs='+', metavar='RUN', help='work dirs of runs, finished or not')
    parser.add_argument('--out', metavar='FILE',
                        help='picture to write (default: curves.png in the run, runs.png here for several)')
    args = parser.parse_args()
    from mmdet_shufflenetv2.engine.curves import plot_runs
    print(plot_runs(args.runs, args.out))


if __name__ == '__main__':
    run(main)
