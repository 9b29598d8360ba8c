"""Latency per image of files exported with a batch size of one and above, in onnxruntime and OpenVINO.

    python benchmarks/nanodet_graphs/batch.py nanodet-plus-m-320 --batch 4 --image photo.jpg

Both are timed alternately, from images in memory to boxes; the ratio is the median of paired rounds.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import cv2
import numpy as np

from mmdet_shufflenetv2.deploy import ExportedDetector, export_model
from mmdet_shufflenetv2.profiling.timing import machine_name, summarize, time_alternating


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='a name of published weights, or a file')
    parser.add_argument('--batch', type=int, default=4)
    parser.add_argument('--image', required=True)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--rounds', type=int, default=40)
    args = parser.parse_args()
    images = [cv2.imread(args.image)] * args.batch
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for target, suffix in (('onnxruntime', 'onnx'), ('openvino', 'xml')):
            calls = {}
            for batch in (1, args.batch):
                path = Path(folder, f'{batch}.{suffix}')
                export_model(None, args.checkpoint, path, batch=batch)
                detector = ExportedDetector(path, args.threads)
                calls[str(batch)] = lambda detector=detector: detector.detect(images)
            one, many = (np.array(seconds) for seconds in time_alternating(calls, rounds=args.rounds).values())
            milliseconds = (1e3 * summarize(seconds.tolist()).median / args.batch for seconds in (one, many))
            rows.append(
                f'| {target} | {" | ".join(f"{value:.1f} ms" for value in milliseconds)} | '
                f'{np.median(one / many):.2f} |'
            )
    print(
        f'{machine_name()}, {args.threads} threads, {args.rounds} rounds, {args.checkpoint}\n\n'
        f'| runtime | per image, one at a time | per image, {args.batch} at a time | throughput |\n'
        '| --- | --- | --- | --- |'
    )
    print('\n'.join(rows))


if __name__ == '__main__':
    main()
