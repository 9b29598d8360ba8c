"""Detect objects in images: draws them and writes one COCO-format results file.

    python tools/infer.py configs/faster_rcnn_snv2.py work_dirs/faster_rcnn_snv2/epoch_12.pth photo.jpg holiday/
    python tools/infer.py nanodet_m.ckpt photo.jpg    # NanoDet-m's own weights need no config; 320 pixels
    python tools/infer.py configs/nanodet_m_snv2_416.py nanodet_m_416.ckpt photo.jpg
"""

from __future__ import annotations

import argparse

from _tool import run


def parse_args() -> argparse.Namespace:
    from mmengine.config import DictAction
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', nargs='?', metavar='CONFIG', help='config file; NanoDet-m\'s own weights need none')
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help="weights of the config's model")
    parser.add_argument('inputs', nargs='+', metavar='IMAGE_OR_DIR', help='image files and folders of images')
    parser.add_argument('--out-dir', default='outputs', help='gets vis/ and results.json (default: outputs)')
    parser.add_argument('--score-thr', type=float, default=0.3, help='lowest score that is drawn (default: 0.3)')
    parser.add_argument('--device', help='cpu, cuda:0, ... (default: a GPU if there is one)')
    parser.add_argument('--shuffle-free', action='store_true', help='run the backbone in its shuffle-free form')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='entries of the config to override')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mmdet_shufflenetv2.engine.inference import infer, split_arguments
    # Whether the first one is a config can only be told from its name.
    given = [argument for argument in (args.config, args.checkpoint, *args.inputs) if argument is not None]
    results = infer(*split_arguments(given), args.out_dir, score_thr=args.score_thr, device=args.device,
                    shuffle_free=args.shuffle_free, cfg_options=args.cfg_options)
    print(f'pictures: {results.parent / "vis"}\nresults:  {results}')


if __name__ == '__main__':
    run(main)
