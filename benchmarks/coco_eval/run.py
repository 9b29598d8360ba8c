"""Time COCO's evaluation in faster-coco-eval and pycocotools on the same synthetic detections.

python benchmarks/coco_eval/run.py
python benchmarks/coco_eval/run.py --images 500
"""

from __future__ import annotations

import argparse
import contextlib
import io
import time

import numpy as np

from mmdet_shufflenetv2.evaluation.coco_metric import BACKENDS
from mmdet_shufflenetv2.evaluation.error_report.scores import as_coco

CATEGORIES = 80
OBJECTS = 7  # per image, as in COCO


def synthetic(images: int, boxes: int) -> tuple[dict, list[dict]]:
    """Annotations, and ``boxes`` detections per image: half of them are shifted annotations."""
    rng = np.random.default_rng(0)
    annotations, found = [], []
    for image in range(images):
        objects = np.c_[rng.uniform(0, 400, (OBJECTS, 2)), rng.uniform(8, 240, (OBJECTS, 2))]
        labels = rng.integers(1, CATEGORIES + 1, OBJECTS)
        annotations += [
            dict(
                id=len(annotations) + number + 1,
                image_id=image,
                category_id=int(label),
                bbox=box.tolist(),
                area=float(box[2] * box[3]),
                iscrowd=0,
            )
            for number, (box, label) in enumerate(zip(objects, labels))
        ]
        near = rng.integers(0, OBJECTS, boxes)
        hits = rng.random(boxes) < 0.5
        moved = np.where(
            hits[:, None],
            objects[near] * rng.uniform(0.9, 1.1, (boxes, 4)),
            np.c_[rng.uniform(0, 400, (boxes, 2)), rng.uniform(8, 240, (boxes, 2))],
        )
        called = np.where(hits, labels[near], rng.integers(1, CATEGORIES + 1, boxes))
        found += [
            dict(image_id=image, category_id=int(category), bbox=box.tolist(), score=float(score))
            for category, box, score in zip(called, moved, rng.random(boxes))
        ]
    return dict(
        images=[dict(id=image, width=640, height=640, file_name='') for image in range(images)],
        annotations=annotations,
        categories=[dict(id=number + 1, name=str(number)) for number in range(CATEGORIES)],
    ), found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--images', type=int, default=5000)
    parser.add_argument('--boxes', type=int, default=100, help='detections per image (default: 100)')
    args = parser.parse_args()
    content, found = synthetic(args.images, args.boxes)
    print(
        f'{args.images:,} images, {args.boxes} detections each\n\n'
        f'| backend | seconds of the CPU | the twelve figures |\n| --- | --- | --- |'
    )
    for name, kind in BACKENDS.items():
        with contextlib.redirect_stdout(io.StringIO()):
            truth = as_coco(content)
            evaluation = kind(truth, truth.loadRes([dict(one) for one in found]), 'bbox')
            start = time.process_time()
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
            seconds = time.process_time() - start
        print(f'| {name} | {seconds:.1f} | {" ".join(f"{figure:.5f}" for figure in evaluation.stats)} |', flush=True)


if __name__ == '__main__':
    main()
