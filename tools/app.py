"""Try detectors in a browser: drop an image, choose a checkpoint, move the threshold.

    python tools/app.py                                   # every checkpoint in work_dirs/*/
    python tools/app.py nanodet_m.ckpt detector.onnx      # NanoDet-m's own weights and .onnx files need no config
    python tools/app.py configs/faster_rcnn_snv2.py epoch_11.pth epoch_12.pth --port 8000

Needs gradio: pip install -e '.[app]'. Listens on this machine alone unless --host says otherwise, and sends nothing
to anybody.
"""

from __future__ import annotations

from _tool import config_parser, run


def main() -> None:
    parser = config_parser(__doc__)
    parser.add_argument('models', nargs='*', metavar='FILE',
                        help='checkpoints, .onnx files, and configs for the checkpoints behind them')
    parser.add_argument('--device', help='cpu, cuda:0, ... (default: a GPU if there is one)')
    parser.add_argument('--host', default='127.0.0.1', help='address to listen at (default: 127.0.0.1)')
    parser.add_argument('--port', type=int, help='default: the first free one from 7860')
    args = parser.parse_args()
    from mmdet_shufflenetv2.inference.models import find_models
    from mmdet_shufflenetv2.inference.page import serve
    serve(find_models(args.models), device=args.device, host=args.host, port=args.port)


if __name__ == '__main__':
    run(main)
