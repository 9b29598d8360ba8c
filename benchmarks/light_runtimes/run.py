"""Time the shuffle-free form, in blocks of several sizes, against the plain graph in ncnn, LiteRT and the web.

    python benchmarks/light_runtimes/run.py ncnn nanodet-m-320 nanodet-plus-m-320 --rounds 60

Forms of a detector are timed alternately in one process, from an image in memory to boxes; ratios are medians of paired
rounds.
For the web, onnxruntime-web runs in Node.js, which compiles WebAssembly as Chromium does.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
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


def export(name: str, weights: str, folder: Path, block: int | None) -> Path:
    """Export the detector with channels in blocks of this size; None for the plain backbone."""
    target = TARGETS[name] if block is None else replace(TARGETS[name], block=block)
    out = folder / f'{block}{"".join(target.suffixes[:1])}'
    with mock.patch.dict(TARGETS, {name: target}):
        export_model(None, weights, out, target=name, keep_shuffle=block is None)
    return out


def time_files(files: dict[int | None, Path], size: int, threads: int, rounds: int) -> dict[int | None, list[float]]:
    """Seconds of each round, by block size."""
    if all(path.is_dir() for path in files.values()):
        script = Path(__file__).with_name('time_pages.mjs')
        command = ['node', str(script), str(rounds), str(size), *map(str, files.values())]
        return dict(zip(files, json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)))
    image = draw_image(np.random.default_rng(0), size=size)[0]
    detectors = {block: ExportedDetector(path, threads) for block, path in files.items()}
    calls = {block: lambda detector=detector: detector(image) for block, detector in detectors.items()}
    return time_alternating(calls, rounds=rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('target', choices=('ncnn', 'litert', 'web'))
    parser.add_argument('weights', nargs='+')
    parser.add_argument('--size', type=int, default=320, help='height and width of the image (default: 320)')
    parser.add_argument(
        '--threads', type=int, default=1, help='threads of ncnn and LiteRT; the web always has one (default: 1)'
    )
    parser.add_argument('--rounds', type=int, default=60)
    args = parser.parse_args()
    print(
        f'{args.target}, {machine_name()}, {args.threads} thread(s), {args.rounds} rounds, load average '
        f'{os.getloadavg()[0]:.1f}\n\n| detector | form | median | time beside the plain graph | middle half |\n'
        '| --- | --- | --- | --- | --- |'
    )
    for weights in args.weights:
        with tempfile.TemporaryDirectory() as folder:
            files = {block: export(args.target, weights, Path(folder), block) for block in (None, *BLOCKS)}
            seconds = time_files(files, args.size, args.threads, args.rounds)
        for block in files:
            low, ratio, high = np.percentile(np.array(seconds[block]) / np.array(seconds[None]), (25, 50, 75))
            print(
                f'| {weights} | {"plain" if block is None else f"blocks of {block}" if block > 1 else "no blocks"} '
                f'| {summarize(seconds[block]).median * 1e3:.1f} ms | {ratio:.2f} | {low:.2f} to {high:.2f} |'
            )


if __name__ == '__main__':
    main()
