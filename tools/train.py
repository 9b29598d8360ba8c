"""Train a detector, or a classifier to start it from.

    python tools/train.py configs/faster_rcnn_snv2.py
    python tools/train.py configs/faster_rcnn_snv2.py --data fish/ --epochs 20 --batch-size 4 --image-size 640
    python tools/train.py configs/retinanet_snv2.py --data-root /data/coco --amp
    python tools/train.py configs/faster_rcnn_snv2.py --resume
    torchrun --nproc-per-node 8 tools/train.py configs/faster_rcnn_snv2.py --checkpoint-interval-minutes 30
    python tools/train.py configs/faster_rcnn_snv2.py --cfg-options train_dataloader.batch_size=4
    python tools/train.py configs/imagenet/shufflenet_v2_1.0x.py --data-root /data/imagenet
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path

from _tool import add_cfg_options, config_parser, run


def parse_args() -> argparse.Namespace:
    parser = config_parser(__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='where checkpoints and logs go (default: work_dirs/NAME_OF_CONFIG)')
    parser.add_argument('--data', metavar='DIR', help="your own data set, in COCO's format or YOLO's: classes, their "
                        'number and paths are set everywhere')
    parser.add_argument('--freeze', type=int, metavar='N',
                        help='freeze the first parts of the backbone: 0 the stem, 1 to 4 as many stages too')
    parser.add_argument('--image-size', metavar='N|WxH',
                        help='what an image must fit into, in pixels; WxH either way round, except with NanoDet')
    parser.add_argument('--batch-size', type=int, metavar='N',
                        help='images per step on each device; the learning rate follows')
    parser.add_argument('--epochs', type=int, metavar='N', help='length of the run; its schedules follow')
    parser.add_argument('--lr', type=float, metavar='X', help='learning rate, used as it is')
    parser.add_argument('--data-root', help="folder in the layout of the config's data root, to use in its place")
    parser.add_argument('--amp', action='store_true', help='train with automatic mixed precision')
    parser.add_argument('--auto-scale-lr', action='store_true', help='scale the learning rate to the batch size')
    parser.add_argument('--resume', nargs='?', const='auto', metavar='CHECKPOINT',
                        help='go on from CHECKPOINT, or from the newest one in the work dir')
    parser.add_argument('--checkpoint-interval-minutes', type=float, metavar='M',
                        help='save in the middle of an epoch, too, every M minutes')
    parser.add_argument('--max-broken-images', type=int, default=10, metavar='N',
                        help='end the run when more than N images cannot be read (default: 10)')
    parser.add_argument('--tensorboard', action='store_true', help='log for TensorBoard, too: tensorboard --logdir DIR')
    add_cfg_options(parser)
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none',
                        help='how the processes of a distributed run were started')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    from mmdet_shufflenetv2.engine.training import train
    written = train(
        args.config, work_dir=args.work_dir, data_root=args.data_root, amp=args.amp, auto_scale_lr=args.auto_scale_lr,
        resume=args.resume, cfg_options=args.cfg_options, launcher=args.launcher, data=args.data, freeze=args.freeze,
        image_size=args.image_size, batch_size=args.batch_size, epochs=args.epochs, lr=args.lr,
        max_broken_images=args.max_broken_images, checkpoint_interval_minutes=args.checkpoint_interval_minutes,
        tensorboard=args.tensorboard)
    for name, path in written.items():
        print(f'{name + ":":<12}{path}')
    if args.data and int(os.environ.get('RANK', 0)) == 0:
        _print_next(args, written.get('best') or written['checkpoint'])


def _print_next(args: argparse.Namespace, checkpoint: Path) -> None:
    words = [shlex.quote(word) for word in (args.config, str(checkpoint))]
    more = [word for word in sys.argv if word.startswith('model.') and args.cfg_options]
    more = f' --cfg-options {shlex.join(more)}' if more else ''
    print('next:')
    for tool, last in (('test', ''), ('infer', ' IMAGE'), ('export', f' {Path(args.config).stem}.onnx')):
        print(f'  python {os.path.relpath(Path(__file__).parent / tool)}.py {" ".join(words)}{last}{more}')


if __name__ == '__main__':
    run(main)
