"""Export a trained detector as one ONNX graph from image to boxes, and check the file against the detector.

    python tools/export.py configs/faster_rcnn_snv2.py work_dirs/faster_rcnn_snv2/epoch_12.pth detector.onnx
    python tools/export.py work_dirs/faster_rcnn_snv2/epoch_12.pth detector.onnx    # its config is inside
    python tools/export.py CONFIG CHECKPOINT detector.onnx --for openvino --image photo.jpg
    python tools/export.py CONFIG CHECKPOINT backbone.onnx --backbone-only
"""

from __future__ import annotations

import argparse

from _tool import add_cfg_options, config_parser, run


def parse_args() -> argparse.Namespace:
    parser = config_parser(__doc__)
    parser.add_argument('config', nargs='?', help='config file; by default the one inside the checkpoint')
    parser.add_argument('checkpoint', help="weights of the config's model")
    parser.add_argument('out', metavar='OUT.onnx', help='file to write')
    parser.add_argument('--backbone-only', action='store_true', help='from normalised images to features')
    parser.add_argument('--keep-shuffle', action='store_true', help='leave the backbone as it is, not shuffle-free')
    parser.add_argument('--for', dest='runtime', default='onnxruntime', metavar='RUNTIME',
                        help='onnxruntime (default) or openvino: which one shall be fastest; both run the file')
    parser.add_argument('--image', help='image on which the file is compared with the detector (default: a drawn one)')
    add_cfg_options(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mmdet_shufflenetv2.deploy import export_onnx
    checked = export_onnx(args.config, args.checkpoint, args.out, backbone_only=args.backbone_only,
                          keep_shuffle=args.keep_shuffle, runtime=args.runtime, image=args.image,
                          cfg_options=args.cfg_options)
    line = f'{args.out}: equal to the detector on {checked.image} '
    if args.backbone_only:
        line += f'(features to {checked.difference:.1g})'
    else:
        line += (f'(scores to {checked.difference:.1g}, boxes to {checked.box_difference:.1g} pixels; the whole image: '
                 f'{checked.matched} of {checked.found} detections are the same)')
    print(line)


if __name__ == '__main__':
    run(main)
