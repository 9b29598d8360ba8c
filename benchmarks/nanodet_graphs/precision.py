"""mmAP, latency and size of a detector exported in each precision, for each runtime.

    python benchmarks/nanodet_graphs/precision.py nanodet-plus-m-320 nanodet-plus-m-416 --coco COCO --targets ncnn

mmAP is evaluated on val2017 in the folder; int8 is calibrated on its train2017. Latency is processor time on one
thread, which other programs hardly affect, from an image in memory to boxes: the median of alternating rounds.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from pycocotools.coco import COCO
from run import mean_ap

from mmdet_shufflenetv2.deploy import ExportedDetector, export_model
from mmdet_shufflenetv2.deploy.targets import TARGETS
from mmdet_shufflenetv2.profiling.timing import machine_name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoints', nargs='+', help='names of published weights, or files')
    parser.add_argument('--coco', type=Path, required=True)
    parser.add_argument('--targets', nargs='+', choices=TARGETS, default=['onnxruntime', 'openvino'])
    parser.add_argument('--rounds', type=int, default=40)
    args = parser.parse_args()
    coco = COCO(str(args.coco / 'annotations' / 'instances_val2017.json'))
    image = cv2.imread(str(next((args.coco / 'val2017').iterdir())))
    rows = []
    for checkpoint in args.checkpoints:
        with tempfile.TemporaryDirectory() as folder:
            paths = {
                (target, precision): Path(folder, precision + TARGETS[target].suffixes[0])
                for target in args.targets
                for precision in TARGETS[target].precisions
            }
            for (_, precision), path in paths.items():
                export_model(
                    None,
                    checkpoint,
                    path,
                    precision=precision,
                    data=str(args.coco / 'train2017') if precision == 'int8' else None,
                )
            detectors = {form: ExportedDetector(path, 1) for form, path in paths.items()}
            seconds = _processor_seconds(detectors, image, args.rounds)
            for form, detector in detectors.items():
                mmap = 100 * mean_ap(detector, coco, args.coco / 'val2017')
                size = sum(
                    paths[form].with_suffix(suffix).stat().st_size
                    for suffix in (paths[form].suffix, '.bin')
                    if paths[form].with_suffix(suffix).exists()
                )
                relative = np.median(np.array(seconds[form]) / np.array(seconds[form[0], 'fp32']))
                rows.append(
                    f'| {Path(checkpoint).stem} | {form[0]} | {form[1]} | {mmap:.1f} | '
                    f'{1e3 * np.median(seconds[form]):.1f} ms | {relative:.2f} | {size / 1e6:.1f} MB |'
                )
    print(
        f'\n{machine_name()}, one thread, {args.rounds} rounds\n\n'
        '| detector | runtime | precision | mmAP | latency | beside fp32 | size |\n'
        '| --- | --- | --- | --- | --- | --- | --- |'
    )
    print('\n'.join(rows))


def _processor_seconds(
    detectors: dict[tuple[str, str], ExportedDetector], image: np.ndarray, rounds: int
) -> dict[tuple[str, str], list[float]]:
    seconds: dict[tuple[str, str], list[float]] = {form: [] for form in detectors}
    for number in range(rounds + 3):
        for form, detector in detectors.items():
            start = time.process_time()
            detector(image)
            if number >= 3:
                seconds[form].append(time.process_time() - start)
    return seconds


if __name__ == '__main__':
    main()
