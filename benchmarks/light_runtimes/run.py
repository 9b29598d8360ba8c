"""A detector in ncnn or LiteRT: the shuffle-free form, with channels in blocks of several sizes, beside the plain one.

    python benchmarks/light_runtimes/run.py ncnn nanodet-m-320 nanodet-plus-m-320 --rounds 60

Forms of a detector take turns in one process, from an image in memory to boxes; ratios are medians of paired rounds.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np

from mmdet_shufflenetv2.data.shapes import draw_image
from mmdet_shufflenetv2.deploy import ExportedDetector, export_model
from mmdet_shufflenetv2.deploy.targets import TARGETS
from mmdet_shufflenetv2.profiling.timing import machine_name, summarize, time_alternating

BLOCKS = (1, 4, 8, 16)


def exported(name: str, weights: str, folder: Path, block: int | None, threads: int) -> ExportedDetector:
    """The detector with channels in such blocks; None for the plain backbone."""
    target = TARGETS[name] if block is None else replace(TARGETS[name], block=block)
    out = folder / f'{block}{target.suffixes[0]}'
    with mock.patch.dict(TARGETS, {name: target}):
        export_model(None, weights, out, keep_shuffle=block is None)
    return ExportedDetector(out, threads)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('target', choices=('ncnn', 'litert'))
    parser.add_argument('weights', nargs='+')
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--rounds', type=int, default=60)
    args = parser.parse_args()
    image = draw_image(np.random.default_rng(0), size=320)[0]
    print(
        f'{args.target}, {machine_name()}, {args.threads} thread(s), {args.rounds} rounds, load average '
        f'{os.getloadavg()[0]:.1f}\n\n| detector | form | median | time beside the plain graph | middle half |\n'
        '| --- | --- | --- | --- | --- |'
    )
    for weights in args.weights:
        with tempfile.TemporaryDirectory() as folder:
            forms = {
                block: exported(args.target, weights, Path(folder), block, args.threads) for block in (None, *BLOCKS)
            }
            seconds = time_alternating(
                {block: lambda detector=detector: detector(image) for block, detector in forms.items()},
                rounds=args.rounds,
            )
        for block in forms:
            low, ratio, high = np.percentile(np.array(seconds[block]) / np.array(seconds[None]), (25, 50, 75))
            print(
                f'| {weights} | {"plain" if block is None else f"blocks of {block}" if block > 1 else "no blocks"} '
                f'| {summarize(seconds[block]).median * 1e3:.1f} ms | {ratio:.2f} | {low:.2f} to {high:.2f} |'
            )


if __name__ == '__main__':
    main()
