"""Detect objects in images, videos and cameras: draws them, and writes them as COCO JSON, YOLO txt or CSV.

    python tools/infer.py configs/faster_rcnn_snv2.py work_dirs/faster_rcnn_snv2/epoch_12.pth photo.jpg holiday/
    python tools/infer.py best.pth photo.jpg          # its config is inside
    python tools/infer.py nanodet_m.ckpt photo.jpg    # NanoDet-m's own weights need no config; 320 pixels
    python tools/infer.py detector.onnx clip.mp4 'photos/**/*.jpg' --save coco yolo csv
    python tools/infer.py nanodet_m.ckpt webcam:0 --classes person 'traffic light' --score-thr 0.5    # ends with Ctrl-C
"""

from __future__ import annotations

import argparse

from _tool import add_cfg_options, config_parser, run


def parse_args() -> argparse.Namespace:
    parser = config_parser(__doc__)
    parser.add_argument('config', nargs='?', metavar='CONFIG',
                        help="config file; by default the one inside the checkpoint; an .onnx file needs none")
    parser.add_argument('checkpoint', metavar='CHECKPOINT',
                        help="weights of the config's model, or an .onnx file that tools/export.py made")
    parser.add_argument('inputs', nargs='+', metavar='INPUT',
                        help='image and video files, folders, patterns, webcam:0 or a number')
    parser.add_argument('--out-dir', default='outputs', help='gets vis/ and the results (default: outputs)')
    parser.add_argument('--save', nargs='+', default=['coco'], metavar='FORMAT',
                        help='coco (results.json), yolo (yolo/), csv (results.csv); default: coco')
    parser.add_argument('--score-thr', type=float, default=0.3,
                        help="lowest score that is drawn and saved; COCO's file has all (default: 0.3)")
    parser.add_argument('--classes', nargs='+', metavar='NAME', help='look for these classes only')
    parser.add_argument('--batch-size', type=int, default=1, metavar='N',
                        help='images that are computed at once; an .onnx file takes one (default: 1)')
    parser.add_argument('--device', help='cpu, cuda:0, ... (default: a GPU if there is one)')
    parser.add_argument('--shuffle-free', action='store_true', help='run the backbone in its shuffle-free form')
    add_cfg_options(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mmdet_shufflenetv2.inference.predict import predict, split_arguments
    # Whether the first one is a config can only be told from its name.
    given = [argument for argument in (args.config, args.checkpoint, *args.inputs) if argument is not None]
    done = predict(*split_arguments(given), args.out_dir, save=args.save, score_thr=args.score_thr,
                   classes=args.classes, batch_size=args.batch_size, device=args.device,
                   shuffle_free=args.shuffle_free, cfg_options=args.cfg_options)
    print(f'{"stopped after" if done.stopped else "done:"} {done.frames} images or frames\n'
          f'pictures: {done.written[0]}')
    for path in done.written[1:]:
        print(f'results:  {path}')


if __name__ == '__main__':
    run(main)
