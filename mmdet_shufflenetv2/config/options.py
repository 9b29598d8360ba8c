"""The options of each command, one frozen dataclass per command. Python, the command line and the docs use the same.

Nothing here imports PyTorch, so that ``--help`` answers at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..utils.errors import UserError
from ..utils.options import argument, option

__all__ = [
    'AnalyzeOptions',
    'AppOptions',
    'BenchmarkOptions',
    'BrowseOptions',
    'CheckDataOptions',
    'ComplexityOptions',
    'ConvertOptions',
    'DemoOptions',
    'DesignCheckOptions',
    'DownloadOptions',
    'EnvOptions',
    'EvaluateOptions',
    'ExportOptions',
    'GuidelinesOptions',
    'PlotOptions',
    'PredictOptions',
    'ReproduceOptions',
    'RunOptions',
    'TrainOptions',
]

#: Services that a training can be logged to.
TRACKERS = ('tensorboard', 'wandb', 'mlflow', 'clearml', 'neptune', 'aim', 'dvclive')


def _cfg_options() -> Any:
    return option(None, 'entries of the config to override, such as model.backbone.with_cp=True', metavar='KEY=VALUE')


def _launcher() -> Any:
    return option(
        'none', 'how the processes of a distributed run were started', choices=('none', 'pytorch', 'slurm', 'mpi')
    )


def _data_root() -> Any:
    return option(None, "folder with the same layout as the config's data root, used instead of it", metavar='DIR')


def _device(default: str | None = None) -> Any:
    return option(default, f'cpu, cuda:0, ... (default: {default or "a GPU if there is one"})')


def images_per_step(text: str) -> int | str:
    return text if text == 'auto' else int(text)


@dataclass(frozen=True)
class TrainOptions:
    """Train a detector, or a classifier for its backbone.

    snv2 train configs/faster_rcnn_snv2.py
    snv2 train configs/faster_rcnn_snv2.py --data fish/ --epochs 20 --batch-size 4 --image-size 640
    snv2 train nanodet-plus-m-416 --data fish/    # published weights, with their config
    snv2 train configs/retinanet_snv2.py --data-root /data/coco --amp
    snv2 train configs/faster_rcnn_snv2.py --resume
    torchrun --nproc-per-node 8 tools/train.py configs/faster_rcnn_snv2.py --checkpoint-interval-minutes 30
    snv2 train configs/faster_rcnn_snv2.py --cfg-options train_dataloader.batch_size=4
    snv2 train configs/imagenet/shufflenet_v2_1.0x.py --data-root /data/imagenet
    """

    config: str = argument('config file, checkpoint to start from, or name of published weights (snv2 download)')
    work_dir: str | None = option(
        None, 'folder for checkpoints and logs (default: work_dirs/NAME_OF_CONFIG)', metavar='DIR'
    )
    data: str | None = option(
        None,
        'your own data set (formats: snv2 check-data --formats); sets classes and paths in the config',
        metavar='DIR',
    )
    freeze: int | None = option(
        None,
        'freeze the first parts of the backbone: 0 for the stem, 1 to 4 for the stem and that many stages',
        metavar='N',
    )
    image_size: str | None = option(
        None,
        'size in pixels that images are fitted into; the order of W and H matters only for NanoDet',
        metavar='N|WxH',
    )
    batch_size: int | str | None = option(
        None,
        'images per step on each device; the learning rate is scaled with it; auto: the largest that fits in memory',
        metavar='N|auto',
        type=images_per_step,
    )
    epochs: int | None = option(None, 'number of epochs; schedules are scaled to it', metavar='N')
    lr: float | None = option(None, 'learning rate, not scaled any further', metavar='X')
    augmentation: float | None = option(
        None,
        'strength of the random changes of size, position, shape and color: 1 as in the config, 0 for none',
        metavar='X',
    )
    multi_scale: float | None = option(
        None, 'train on random sizes from 1 - X to 1 + X of the image size; 0 for one size', metavar='X'
    )
    class_balance: str = option(
        'auto', 'repeat images of rare classes (with `data`); auto: if a class is rare', choices=('auto', 'on', 'off')
    )
    patience: int | None = option(None, 'stop after N evaluations without a better score', metavar='N')
    data_root: str | None = _data_root()
    amp: bool = option(False, 'train with automatic mixed precision')
    auto_scale_lr: bool = option(False, 'scale the learning rate to the batch size')
    resume: str | None = option(
        None,
        'continue from CHECKPOINT (default: the latest valid one in the work dir)',
        metavar='CHECKPOINT',
        nargs='?',
        const='auto',
    )
    checkpoint_interval_minutes: float | None = option(None, 'also save during an epoch, every M minutes', metavar='M')
    max_broken_images: int = option(10, 'stop if more than N images cannot be read (default: 10)', metavar='N')
    val_loss: bool = option(False, 'also compute the validation loss; evaluations take 2 to 3 times as long')
    tracker: tuple[str, ...] = option((), 'also log to: ' + ', '.join(TRACKERS), metavar='NAME')
    cfg_options: dict[str, Any] | None = _cfg_options()
    launcher: str = _launcher()

    def __post_init__(self) -> None:
        for name in ('batch_size', 'epochs', 'lr', 'patience', 'checkpoint_interval_minutes'):
            value = getattr(self, name)
            if value is None or (name, value) == ('batch_size', 'auto'):
                continue
            if isinstance(value, str) or not 0 < value < float('inf'):
                raise UserError(
                    f'{name}={value}: expected a positive number{" or auto" if name == "batch_size" else ""}.'
                )
        if unknown := [name for name in self.tracker if name not in TRACKERS]:
            raise UserError(f'tracker={unknown[0]} is unknown. Expected one of {", ".join(TRACKERS)}.')


@dataclass(frozen=True)
class EvaluateOptions:
    """Evaluate a checkpoint. Prints COCO metrics and the AP per class, or top-1 and top-5; writes metrics.json.

    snv2 eval configs/faster_rcnn_snv2.py work_dirs/faster_rcnn_snv2/epoch_12.pth
    snv2 eval work_dirs/faster_rcnn_snv2/epoch_12.pth    # its config is inside
    snv2 eval CONFIG CHECKPOINT --out results.json --show-dir figures
    snv2 eval configs/imagenet/shufflenet_v2_torchvision_1.0x.py torchvision://shufflenet_v2_x1_0.imagenet1k_v1
    """

    config: str | None = argument('config file; by default the one inside the checkpoint', nargs='?')
    checkpoint: str = argument("weights of the config's model")
    work_dir: str | None = option(None, 'folder for metrics.json (default: work_dirs/NAME_OF_CONFIG)', metavar='DIR')
    data: str | None = option(
        None, 'your own data set, in any supported format (default: that of the training)', metavar='DIR'
    )
    data_root: str | None = _data_root()
    out: str | None = option(None, 'file for detections: .json (COCO results) or .pkl (MMDetection)', metavar='FILE')
    show: bool = option(False, 'open one window per image')
    show_dir: str | None = option(
        None, 'folder for figures, inside the folder of the log: ground truth left, detections right', metavar='DIR'
    )
    wait_time: float = option(2, 'seconds to show each window (default: 2)', metavar='S')
    tta: bool = option(False, 'test-time augmentation: merge the detections of each image and its mirror image')
    shuffle_free: bool = option(False, 'use the shuffle-free form of the backbone: same results, faster')
    cfg_options: dict[str, Any] | None = _cfg_options()
    launcher: str = _launcher()

    def __post_init__(self) -> None:
        out = None if self.out is None else Path(self.out)
        if out and (out.suffix not in ('.json', '.pkl', '.pickle') or out.is_dir()):
            raise UserError(
                f'out={self.out}: expected a file with the suffix .json (COCO results) or .pkl (MMDetection).'
            )


@dataclass(frozen=True)
class PredictOptions:
    """Detect objects in images, videos and cameras. Draws them, and writes COCO JSON, YOLO txt, CSV or labels.

    snv2 predict configs/faster_rcnn_snv2.py work_dirs/faster_rcnn_snv2/epoch_12.pth photo.jpg holiday/
    snv2 predict best.pth photo.jpg              # its config is inside
    snv2 predict nanodet-plus-m-416 photo.jpg    # published weights, see snv2 download
    snv2 predict detector.onnx clip.mp4 'photos/**/*.jpg' --save coco yolo csv
    snv2 predict nanodet_m.ckpt webcam:0 --classes person 'traffic light' --score-thr 0.5    # Ctrl-C stops it
    snv2 predict best.pth street.mp4 --track --region 0 200 640 480    # ids; one part of the image
    snv2 predict best.pth aerial.jpg --tiles 640    # small objects in large images
    """

    config: str | None = argument(
        'config file (default: the one inside the checkpoint); exported files need none', metavar='CONFIG', nargs='?'
    )
    weights: str | None = argument("weights of the config's model, or a file from snv2 export", metavar='CHECKPOINT')
    inputs: Sequence[str] = argument('images, videos, folders, patterns, webcam:0 or a number', metavar='INPUT')
    out_dir: str = option(
        'outputs', 'folder for figures (vis/) and results (default: outputs)', metavar='DIR', kw_only=False
    )
    save: tuple[str, ...] = option(
        ('coco',),
        'coco (results.json), yolo (yolo/), csv (results.csv), or pre-labels together with the images: voc '
        '(voc/), cvat (cvat/), labelme (labelme/); default: coco',
        metavar='FORMAT',
    )
    score_thr: float = option(
        0.3, 'lowest score that is drawn and saved; results.json has all (default: 0.3)', metavar='S'
    )
    classes: tuple[str, ...] | None = option(None, 'detect these classes only', metavar='NAME')
    region: tuple[str, ...] | None = option(
        None,
        'keep objects whose center is in this region: X1 Y1 X2 Y2 in pixels, the corners X Y X Y X Y ... of a '
        'polygon, or a .json file of polygons (LabelMe files, too)',
        metavar='X|FILE',
    )
    min_size: float | None = option(None, 'drop boxes whose longer side is shorter than N pixels', metavar='N')
    max_size: float | None = option(None, 'drop boxes whose longer side is longer than N pixels', metavar='N')
    track: bool = option(False, 'track objects in videos: adds ids to figures and results; needs the package trackers')
    tiles: int | None = option(
        None, 'for small objects in large images: also detect in square tiles of N pixels', metavar='N'
    )
    overlap: float | None = option(
        None, 'minimum overlap of neighboring tiles, as a fraction of their size (default: 0.2)', metavar='F'
    )
    tta: bool = option(False, 'test-time augmentation: merge the detections of each image and its mirror image')
    batch_size: int = option(
        1,
        'images, or tiles of an image, per batch; exported files use the batch that they were '
        'exported with (default: 1)',
        metavar='N',
    )
    device: str | None = _device()
    shuffle_free: bool = option(False, 'use the shuffle-free form of the backbone: same results, faster')
    cfg_options: dict[str, Any] | None = _cfg_options()

    def __post_init__(self) -> None:
        if not 0 <= self.score_thr <= 1:
            raise UserError(f'score_thr={self.score_thr}: expected a score from 0 to 1.')
        for name in ('min_size', 'max_size'):
            if (value := getattr(self, name)) is not None and not 0 <= value < float('inf'):
                raise UserError(f'{name}={value}: expected a positive number of pixels.')
        if (self.min_size or 0) > (self.max_size or float('inf')):
            raise UserError(f'min_size={self.min_size} is larger than max_size={self.max_size}, so no box is left.')
        if self.batch_size < 1:
            raise UserError(f'batch_size={self.batch_size}: expected 1 or more.')


@dataclass(frozen=True)
class ExportOptions:
    """Export a detector to one file that maps an image to boxes, and compare the file with the PyTorch model.

    snv2 export configs/faster_rcnn_snv2.py work_dirs/faster_rcnn_snv2/epoch_12.pth detector.onnx
    snv2 export work_dirs/faster_rcnn_snv2/epoch_12.pth detector.onnx    # its config is inside
    snv2 export CONFIG CHECKPOINT detector.xml --image photo.jpg    # for OpenVINO
    snv2 export CONFIG CHECKPOINT detector.param --precision fp16    # for ncnn
    snv2 export CONFIG CHECKPOINT detector.onnx --precision int8 --data photos/
    snv2 export CONFIG CHECKPOINT detector.tflite    # for LiteRT
    snv2 export CONFIG CHECKPOINT detector.mlpackage    # for Core ML
    snv2 export CONFIG CHECKPOINT detector.onnx --target tensorrt
    snv2 export CONFIG CHECKPOINT page --target web    # a folder with a page that runs in a browser
    snv2 export CONFIG CHECKPOINT backbone.onnx --backbone-only
    """

    config: str | None = argument('config file; by default the one inside the checkpoint', nargs='?')
    checkpoint: str = argument("weights of the config's model")
    out: str = argument(
        'file to write; the suffix selects the runtime: .onnx for onnxruntime, .xml for OpenVINO, '
        '.param for ncnn, .tflite for LiteRT, .mlpackage for Core ML. With --target web, a new folder',
        metavar='OUT',
    )
    backbone_only: bool = option(False, 'export only the backbone: from normalized images to features')
    keep_shuffle: bool = option(False, 'do not convert the backbone to its shuffle-free form')
    target: str | None = option(
        None,
        'runtime of the file: onnxruntime, openvino, ncnn, litert, coreml, tensorrt or '
        'web (default: by the suffix, onnxruntime for .onnx)',
        metavar='TARGET',
    )
    image_size: str | None = option(
        None, 'what an image must fit into, in pixels (default: as the config says)', metavar='N|WxH'
    )
    precision: str = option(
        'fp32',
        'of the network (default: fp32); docs/deploy.md says which target takes which',
        choices=('fp32', 'fp16', 'int8'),
    )
    data: str | None = option(None, 'folder of images, or of a data set, to calibrate int8 on', metavar='DIR')
    batch: int = option(
        1, 'number of images per call of the file, for onnxruntime and openvino (default: 1)', metavar='N'
    )
    image: str | None = option(
        None, 'image for comparing the file with the PyTorch model (default: a drawn one)', metavar='FILE'
    )
    cfg_options: dict[str, Any] | None = _cfg_options()

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise UserError(f'batch={self.batch}: expected 1 or more.')
        if self.data is not None and self.precision != 'int8':
            raise UserError(
                f'data={self.data} is for precision=int8, which is calibrated on it; got precision={self.precision}.'
            )


@dataclass(frozen=True)
class BrowseOptions:
    """Draw sheets of training data: images after augmentation, with the boxes that the model is trained on.

    snv2 browse configs/faster_rcnn_snv2.py                        # writes data_sheets/sheet_1.jpg, ...
    snv2 browse configs/nanodet_m_snv2.py --data-root /data/coco --count 60 --seed 1
    snv2 browse CONFIG --data fish/                                # your own data, see snv2 train
    snv2 browse CONFIG --split val                                 # images of the evaluation
    """

    config: str = argument('config file, or a checkpoint with its config inside')
    out_dir: str = option('data_sheets', 'folder for the sheets (default: data_sheets)', metavar='DIR', kw_only=False)
    count: int = option(24, 'images to draw (default: 24)', metavar='N')
    split: str = option('train', 'data to draw (default: train)', choices=('train', 'val', 'test'))
    seed: int = option(0, 'random seed of the augmentation (default: 0)', metavar='N')
    data: str | None = option(None, 'your own data set, in any supported format', metavar='DIR')
    data_root: str | None = _data_root()
    cfg_options: dict[str, Any] | None = _cfg_options()

    def __post_init__(self) -> None:
        if self.count < 1:
            raise UserError(f'count={self.count}: expected 1 or more.')


@dataclass(frozen=True)
class CheckDataOptions:
    """List all problems of a data set in one pass: what is wrong, how often, and examples.

        snv2 check-data annotations/instances_train.json --images images/
        snv2 check-data fish/ --json problems.json
        snv2 check-data configs/faster_rcnn_snv2.py
        snv2 check-data --formats

    Exit status: 0 if training is possible, 1 if a problem prevents training, 2 if there is nothing to check.
    """

    source: str | None = argument(
        'COCO annotation file, folder of a data set in any supported format, or a config to check its data',
        default=None,
        metavar='ANNOTATIONS.json|DIR|CONFIG',
    )
    images: str | None = option(None, 'folder of the images (default: searched near the annotations)', metavar='DIR')
    data: str | None = option(None, 'folder of a data set, the same as naming it without --data', metavar='DIR')
    json: str | None = option(None, 'also write the reports to this file', metavar='OUT')
    formats: bool = option(False, 'list the supported formats, and the files that each is recognized by')


@dataclass(frozen=True)
class ConvertOptions:
    """Convert a data set of any supported format to COCO, YOLO or Pascal VOC, and check the result.

        snv2 convert fish/ fish_coco/
        snv2 convert fish/ fish_yolo/ --to yolo

    Images are copied. Annotations that the target format cannot represent are listed with counts.
    """

    data: str = argument(
        'folder of a data set (formats: snv2 check-data --formats), or a .yaml or .data file of YOLO', metavar='DIR'
    )
    out: str = argument('output folder, new or empty', metavar='OUT')
    to: str = option('coco', 'format to write (default: coco)', choices=('coco', 'yolo', 'voc'))


@dataclass(frozen=True)
class AnalyzeOptions:
    """Report a detector's mistakes in one report.html: AP by class and size, confusions, images of the worst mistakes.

    snv2 eval CONFIG CHECKPOINT --out results.json    # also stores which data it used
    snv2 analyze results.json
    snv2 analyze others.json --ann data/coco/annotations/instances_val2017.json --images data/coco/val2017
    """

    results: str = argument('COCO results file, from snv2 eval --out or another tool', metavar='RESULTS.json')
    ann: str | None = option(
        None, 'COCO annotations of the same images (default: those that snv2 eval used)', metavar='ANNOTATIONS.json'
    )
    images: str | None = option(None, 'folder of the images (default: that of snv2 eval)', metavar='DIR')
    out: str = option('report.html', 'file to write (default: report.html)', metavar='FILE')
    score_thr: float = option(0.3, 'lowest score of a false positive; AP uses all scores (default: 0.3)', metavar='S')
    worst: int = option(24, 'how many false positives and how many missed objects to show (default: 24)', metavar='N')


@dataclass(frozen=True)
class PlotOptions:
    """Plot loss, learning rate and AP of one run, or of several in one figure, from their logs.

    snv2 plot work_dirs/faster_rcnn_snv2                       # writes curves.png there
    snv2 plot work_dirs/first work_dirs/second --out both.png
    """

    runs: tuple[str, ...] = argument('work dirs of runs, finished or not', metavar='RUN')
    out: str | None = option(
        None, 'figure to write (default: curves.png in the run, runs.png here for several)', metavar='FILE'
    )


@dataclass(frozen=True)
class AppOptions:
    """Try detectors in a browser: upload an image, select a checkpoint, change the score threshold.

        snv2 app                                   # every checkpoint in work_dirs/*/
        snv2 app nanodet-plus-m-416 detector.onnx  # published weights and .onnx files need no config
        snv2 app configs/faster_rcnn_snv2.py epoch_11.pth epoch_12.pth --port 8000

    Needs gradio: pip install -e '.[app]'. Only this machine can connect, unless --host allows others. No data are sent
    to any other server.
    """

    models: tuple[str, ...] = argument(
        'checkpoints, .onnx files, and configs, each followed by its checkpoints', default=(), metavar='FILE'
    )
    device: str | None = _device()
    host: str = option('127.0.0.1', 'address to listen on (default: 127.0.0.1)')
    port: int | None = option(None, 'port to listen on (default: the first free one from 7860)')


@dataclass(frozen=True)
class DownloadOptions:
    """Download COCO 2017 or published weights. Downloads are resumed, verified and unpacked.

    snv2 download                                  # all of COCO: 20 GB of traffic, 40 GB of disk
    snv2 download --splits val2017                 # to evaluate only: 1.1 GB
    snv2 download --subset 1000 --seed 0           # val2017 and 1000 images of train2017
    snv2 download --from ~/Downloads               # use archives or folders that you have already
    snv2 download nanodet-plus-m-416               # weights, to PyTorch's cache; all commands accept the name
    snv2 download nanodet-plus-m-416 --from FILE   # use a file that you have already
    """

    name: str | None = argument(
        'weights to download instead of COCO: nanodet-m-320, -416, nanodet-plus-m-320, -416, nanodet-plus-m-1.5x-320, '
        "-416, or torchvision's classifiers shufflenet-v2-0.5x, -1.0x, -1.5x, -2.0x",
        default=None,
        metavar='NAME',
    )
    root: str = option('data/coco', 'folder for COCO (default: data/coco)', metavar='DIR')
    splits: tuple[str, ...] = option(('train2017', 'val2017'), 'train2017 or val2017 (default: both)', metavar='SPLIT')
    subset: int | None = option(None, 'use only N random images of train2017', metavar='N')
    seed: int = option(0, 'random seed of the subset (default: 0)', metavar='N')
    source: str | None = option(
        None, 'archives, folders, or a weights file that you have already', flag='--from', metavar='PATH'
    )
    base_url: str = option(
        'http://images.cocodataset.org', 'server of COCO (default: http://images.cocodataset.org)', metavar='URL'
    )

    def __post_init__(self) -> None:
        given = [field.name for field in fields(self) if getattr(self, field.name) != field.default]
        if self.name is not None and (others := [name for name in given if name not in ('name', 'source')]):
            raise UserError(f'`{others[0]}` is an option for COCO, but {self.name} names weights. Remove one of them.')


@dataclass(frozen=True)
class ComplexityOptions:
    """Parameters and multiply-adds of detectors, as a Markdown table.

    snv2 complexity configs/faster_rcnn_snv2*.py configs/retinanet_snv2*.py
    snv2 complexity configs/faster_rcnn_snv2.py --shape 320 320
    snv2 complexity --variants        # all backbones with a classifier, compared with the paper
    """

    configs: tuple[str, ...] = argument('config files', default=(), metavar='CONFIG')
    variants: bool = option(False, 'list all variants of the backbone on a 224x224 image')
    shape: tuple[int, int] = option(
        (800, 1333), 'image size in pixels (default: 800 1333)', metavar=('HEIGHT', 'WIDTH')
    )


@dataclass(frozen=True)
class BenchmarkOptions:
    """Measure latency, memory and cost of a backbone or of detectors, in every form that this machine can run.

    snv2 benchmark --width 1.0 --shape 800 1344 --shape 320 320
    snv2 benchmark --config configs/faster_rcnn_snv2.py --config configs/retinanet_snv2.py --shape 800 1333
    """

    width: float = option(1.0, 'width of the backbone (default: 1.0)')
    config: tuple[str, ...] = option(
        (), 'measure the detector of a config; can be repeated', metavar='CONFIG', action='append'
    )
    checkpoint: str | None = option(
        None,
        'weights for a single --config, or a checkpoint with its config inside (default: random weights)',
        metavar='FILE',
    )
    shape: tuple[tuple[int, int], ...] = option(
        ((800, 1344),),
        'input size in pixels; can be repeated (default: 800 1344)',
        metavar=('HEIGHT', 'WIDTH'),
        action='append',
    )
    threads: int = option(2, 'number of threads (default: 2)', metavar='N')
    rounds: int = option(30, 'number of rounds; each form runs once per round (default: 30)', metavar='N')
    device: str = _device('cpu')
    skip: tuple[str, ...] = option((), 'skip forms whose name contains this word, such as compiled', metavar='WORD')
    no_memory: bool = option(False, 'do not measure peak memory, which is the slowest part')
    out_dir: str | None = option(
        None,
        'folder for README.md, results.json and latency.png (default: benchmarks/latency/NAME_OF_MACHINE)',
        metavar='DIR',
    )


@dataclass(frozen=True)
class GuidelinesOptions:
    """Measure the four guidelines of the ShuffleNet V2 paper on this machine.

    snv2 guidelines
    snv2 guidelines --threads 1 --runtime onnxruntime
    snv2 guidelines --device cuda --table G2
    """

    device: str = _device('cpu')
    threads: int | None = option(None, "number of CPU threads (default: PyTorch's)", metavar='N')
    runtime: str = option('torch', 'runtime to measure (default: torch)', choices=('torch', 'onnxruntime'))
    table: str = option('all', 'guideline to measure (default: all)', choices=('G1', 'G2', 'G3', 'G4', 'all'))
    channels: str | None = option(
        None, 'channel counts of the paper to use (default: gpu on a GPU, arm on a CPU)', choices=('gpu', 'arm')
    )
    seconds: float = option(10, 'seconds of timing per table column (default: 10)', metavar='S')
    out_dir: Path | None = option(None, 'output folder (default: benchmarks/guidelines/NAME_OF_MACHINE)', metavar='DIR')


@dataclass(frozen=True)
class DesignCheckOptions:
    """Report where backbones violate the four guidelines of the ShuffleNet V2 paper, and the cost on this machine.

        snv2 design-check configs/faster_rcnn_snv2.py
        snv2 design-check configs/retinanet_snv2*.py mmdet::retinanet/retinanet_r50_fpn_1x_coco.py \\
            mmdet::ssd/ssdlite_mobilenetv2-scratch_8xb24-600e_coco.py --figure backbones.png

    A single config is checked layer by layer. Several configs are compared.
    """

    configs: tuple[str, ...] = argument('config files, or mmdet::NAME for configs of MMDetection', metavar='CONFIG')
    shape: tuple[int, int] = option((320, 320), 'image size in pixels (default: 320 320)', metavar=('HEIGHT', 'WIDTH'))
    device: str = _device('cpu')
    threads: int | None = option(None, "number of CPU threads (default: PyTorch's)", metavar='N')
    rounds: int = option(20, 'number of timed runs per backbone (default: 20)', metavar='N')
    figure: Path | None = option(None, 'file for a figure that compares the backbones', metavar='FILE')


@dataclass(frozen=True)
class ReproduceOptions:
    """Reproduce a row of the paper's tables, or a NanoDet-Plus: train, evaluate, and compare with the published result.

        snv2 reproduce --table imagenet --width 1.0 --data-root /data/imagenet
        snv2 reproduce --table coco --width 1.0 --star --pretrain --gpus 8
        snv2 reproduce --table coco --width 1.0 --weights imagenet.pth --dry-run
        snv2 reproduce --table nanodet-plus --width 1.5 --size 416 --dry-run
        snv2 reproduce --report docs/results.md

    --resume continues a stopped run from its output folder.
    """

    table: str | None = option(None, 'table: imagenet (table 8), coco (table 7) or nanodet-plus')
    width: str | None = option(None, 'width of the backbone: 0.5, 1.0, 1.5 or 2.0')
    star: bool = option(False, 'use ShuffleNet V2*, the variant for detection')
    se: bool = option(False, 'use squeeze-and-excitation')
    size: int | None = option(None, 'table nanodet-plus: 320 (default) or 416 pixels', metavar='N')
    data_root: str | None = option(None, "folder of the table's data set (default: that of the config)", metavar='DIR')
    pretrain: bool = option(False, 'table coco: train the backbone on ImageNet first')
    imagenet_root: str | None = option(
        None, 'folder of ImageNet for --pretrain (default: that of the config)', metavar='DIR'
    )
    weights: str | None = option(
        None, 'table coco: initial weights of the backbone; other tables: weights to evaluate', metavar='FILE'
    )
    config: str | None = option(None, "config to use instead of the row's own")
    classifier_config: str | None = option(
        None, "config of the ImageNet training to use instead of the row's own", metavar='CONFIG'
    )
    gpus: int = option(1, 'number of GPUs to train on (default: 1)', metavar='N')
    out: Path | None = option(None, 'output folder (default: work_dirs/reproduce/NAME_OF_ROW)', metavar='DIR')
    resume: bool = option(False, 'continue the run in the output folder')
    dry_run: bool = option(False, 'only print the commands and an estimate of the hours')
    report: Path | None = option(
        None, 'only write all tables, with the results in work_dirs/reproduce or --out', metavar='FILE'
    )


@dataclass(frozen=True)
class DemoOptions:
    """Train a small Faster R-CNN on built-in data, evaluate it and draw its detections. Same as: make demo.

        snv2 demo
        snv2 demo --config configs/nanodet_m_snv2_shapes.py --work-dir work_dirs/trial

    A second call resumes from the last checkpoint. If training is finished, it only evaluates and draws again.
    """

    config: str = option(
        'configs/faster_rcnn_snv2_shapes.py', 'config file (default: configs/faster_rcnn_snv2_shapes.py)'
    )
    work_dir: str | None = option(None, 'output folder (default: work_dirs/NAME_OF_CONFIG)', metavar='DIR')


@dataclass(frozen=True)
class EnvOptions:
    """Print information for a bug report: versions, and which operator runs on which device."""


@dataclass(frozen=True)
class RunOptions:
    """Run a tool of MMDetection, or any script, after registering this package.

    snv2 run confusion_matrix.py CONFIG RESULTS.pkl OUT_DIR
    snv2 run path/to/script.py ARGUMENTS ...
    """

    script: str = argument('path of a script, or name of a tool of MMDetection', metavar='SCRIPT')
    arguments: tuple[str, ...] = argument('arguments of the script', default=(), metavar='ARGUMENT', nargs='...')
