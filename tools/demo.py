"""The whole way on built-in data: train a small Faster R-CNN, evaluate it, draw its detections. What `make demo` runs.

    python tools/demo.py
    python tools/demo.py --config configs/nanodet_m_snv2_shapes.py --work-dir work_dirs/trial

A second call resumes from the last checkpoint; with a finished training it evaluates and draws again.
"""

from __future__ import annotations

import os
from pathlib import Path

from _tool import config_parser, run


def main() -> None:
    parser = config_parser(__doc__)
    parser.add_argument('--config', default='configs/faster_rcnn_snv2_shapes.py', help='default: %(default)s')
    parser.add_argument('--work-dir', help='default: work_dirs/NAME_OF_CONFIG')
    args = parser.parse_args()
    import torch

    from mmdet_shufflenetv2.engine.testing import evaluate
    from mmdet_shufflenetv2.engine.training import train
    if 'OMP_NUM_THREADS' not in os.environ:
        # What a step computes is too little to split: two threads wait for each other and for the data workers' cores.
        torch.set_num_threads(1)
    work_dir = Path(args.work_dir or Path('work_dirs') / Path(args.config).stem)
    written = train(args.config, work_dir=str(work_dir), resume='auto')
    pictures = work_dir / 'pictures'
    metrics = evaluate(
        args.config, written['checkpoint'], work_dir=str(work_dir), show_dir=str(pictures.resolve()))
    print(f'\nAP50 on images that it did not train on: {metrics["coco/bbox_mAP_50"]:.3f}, '
          f'mmAP {metrics["coco/bbox_mAP"]:.3f}')
    print(f'checkpoint  {written["checkpoint"]}\nmetrics     {work_dir / "metrics.json"}\n'
          f'curves      {written["curves"]}\npictures    {pictures} (ground truth left, detections right)')


if __name__ == '__main__':
    run(main)
