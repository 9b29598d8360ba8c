"""What a user can ask of each command: one frozen dataclass each, for Python, the command line and the docs alike.

Nothing here imports PyTorch, so that ``--help`` is there at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..utils.errors import UserError
from ..utils.options import argument, option

__all__ = [
    'AnalyzeOptions', 'AppOptions', 'BenchmarkOptions', 'BrowseOptions', 'CheckDataOptions', 'ComplexityOptions',
    'ConvertOptions', 'DemoOptions', 'DesignCheckOptions', 'DownloadOptions', 'EnvOptions', 'EvaluateOptions',
    'ExportOptions', 'GuidelinesOptions', 'PlotOptions', 'PredictOptions', 'ReproduceOptions', 'RunOptions',
    'TrainOptions'
]

#: What a training can be logged to.
TRACKERS = ('tensorboard', 'wandb', 'mlflow', 'clearml', 'neptune', 'aim', 'dvclive')


def _cfg_options() -> Any:
    return option(None, 'entries of the config to override, such as model.backbone.with_cp=True', metavar='KEY=VALUE')


def _launcher() -> Any:
    return option('none', 'how the processes of a distributed run were started',
                  choices=('none', 'pytorch', 'slurm', 'mpi'))


def _data_root() -> Any:
    return option(None, "folder in the layout of the config's data root, to use in its place", metavar='DIR')


def _device(default: str | None = None) -> Any:
    return option(default, f'cpu, cuda:0, ... (default: {default or "a GPU if there is one"})')


def images_per_step(text: str) -> int | str:
    return text if text == 'auto' else int(text)


@dataclass(frozen=True)
class TrainOptions:
    """Train a detector, or a classifier to start it from.

        snv2 train configs/faster_rcnn_snv2.py
        snv2 train configs/faster_rcnn_snv2.py --data fish/ --epochs 20 --batch-size 4 --image-size 640
        snv2 train nanodet-plus-m-416 --data fish/    # published weights by name, with their config
        snv2 train configs/retinanet_snv2.py --data-root /data/coco --amp
        snv2 train configs/faster_rcnn_snv2.py --resume
        torchrun --nproc-per-node 8 tools/train.py configs/faster_rcnn_snv2.py --checkpoint-interval-minutes 30
        snv2 train configs/faster_rcnn_snv2.py --cfg-options train_dataloader.batch_size=4
        snv2 train configs/imagenet/shufflenet_v2_1.0x.py --data-root /data/imagenet
    """

    config: str = argument('config file, or a name of weights to start from, see snv2 download')
    work_dir: str | None = option(
        None, 'where checkpoints and logs go (default: work_dirs/NAME_OF_CONFIG)', metavar='DIR')
    data: str | None = option(
        None, 'your own data set (snv2 check-data --formats): classes, their number and paths are set everywhere',
        metavar='DIR')
    freeze: int | None = option(None, 'freeze the first parts of the backbone: 0 the stem, 1 to 4 as many stages too',
                                metavar='N')
    image_size: str | None = option(None, 'what an image must fit into, in pixels; WxH either way round, except with '
                                    'NanoDet', metavar='N|WxH')
    batch_size: int | str | None = option(None, 'images per step on each device, the learning rate follows; auto takes '
                                          'the largest that memory takes', metavar='N|auto', type=images_per_step)
    epochs: int | None = option(None, 'length of the run; its schedules follow', metavar='N')
    lr: float | None = option(None, 'learning rate, used as it is', metavar='X')
    class_balance: str = option('auto', 'repeat images of rare classes of `data`: auto where few images have a class',
                                choices=('auto', 'on', 'off'))
    patience: int | None = option(None, 'end the run after N evaluations without a better score', metavar='N')
    data_root: str | None = _data_root()
    amp: bool = option(False, 'train with automatic mixed precision')
    auto_scale_lr: bool = option(False, 'scale the learning rate to the batch size')
    resume: str | None = option(None, 'continue from CHECKPOINT, or from the latest one in the work dir',
                                metavar='CHECKPOINT', nargs='?', const='auto')
    checkpoint_interval_minutes: float | None = option(
        None, 'save in the middle of an epoch, too, every M minutes', metavar='M')
    max_broken_images: int = option(10, 'end the run when more than N images cannot be read (default: 10)',
                                    metavar='N')
    val_loss: bool = option(False, 'compute the loss on the validation images, too; evaluations take 2 to 3 times as '
                            'long')
    tracker: tuple[str, ...] = option((), 'log there, too: ' + ', '.join(TRACKERS), metavar='NAME')
    cfg_options: dict[str, Any] | None = _cfg_options()
    launcher: str = _launcher()

    def __post_init__(self) -> None:
        for name in ('batch_size', 'epochs', 'lr', 'patience', 'checkpoint_interval_minutes'):
            value = getattr(self, name)
            if value is None or (name, value) == ('batch_size', 'auto'):
                continue
            if isinstance(value, str) or not 0 < value < float('inf'):
                raise UserError(f'{name}={value}: expected a positive number'
                                f'{" or auto" if name == "batch_size" else ""}.')
        if unknown := [name for name in self.tracker if name not in TRACKERS]:
            raise UserError(f'tracker={unknown[0]} is not known. Expected {", ".join(TRACKERS)}.')


@dataclass(frozen=True)
class EvaluateOptions:
    """Evaluate a checkpoint: prints COCO's table and the AP of each class, or top-1 and top-5; writes metrics.json.

        snv2 eval configs/faster_rcnn_snv2.py work_dirs/faster_rcnn_snv2/epoch_12.pth
        snv2 eval work_dirs/faster_rcnn_snv2/epoch_12.pth    # its config is inside
        snv2 eval CONFIG CHECKPOINT --out results.json --show-dir figures
        snv2 eval configs/imagenet/shufflenet_v2_torchvision_1.0x.py torchvision://shufflenet_v2_x1_0.imagenet1k_v1
    """

    config: str | None = argument('config file; by default the one inside the checkpoint', nargs='?')
    checkpoint: str = argument("weights of the config's model")
    work_dir: str | None = option(None, 'where metrics.json goes (default: work_dirs/NAME_OF_CONFIG)', metavar='DIR')
    data: str | None = option(None, "your own data set, in any format that is read (default: that of the run)",
                               metavar='DIR')
    data_root: str | None = _data_root()
    out: str | None = option(None, "detections: .json for COCO's format, .pkl for MMDetection's", metavar='FILE')
    show: bool = option(False, 'open one window per image')
    show_dir: str | None = option(
        None, 'folder, below the log, for figures: ground truth left, detections right', metavar='DIR')
    wait_time: float = option(2, 'seconds that a window stays (default: 2)', metavar='S')
    tta: bool = option(False, 'test-time augmentation: merge the detections in each image and in its mirror image')
    shuffle_free: bool = option(False, 'run the backbone in its shuffle-free form')
    cfg_options: dict[str, Any] | None = _cfg_options()
    launcher: str = _launcher()

    def __post_init__(self) -> None:
        out = None if self.out is None else Path(self.out)
        if out and (out.suffix not in ('.json', '.pkl', '.pickle') or out.is_dir()):
            raise UserError(f"out={self.out}: expected a name of a file that ends in .json (COCO results) or .pkl "
                            f"(MMDetection's).")


@dataclass(frozen=True)
class PredictOptions:
    """Detect objects in images, videos and cameras: draws them, and writes them as COCO JSON, YOLO txt, CSV or labels.

        snv2 predict configs/faster_rcnn_snv2.py work_dirs/faster_rcnn_snv2/epoch_12.pth photo.jpg holiday/
        snv2 predict best.pth photo.jpg              # its config is inside
        snv2 predict nanodet-plus-m-416 photo.jpg    # published weights by name, see snv2 download
        snv2 predict detector.onnx clip.mp4 'photos/**/*.jpg' --save coco yolo csv
        snv2 predict nanodet_m.ckpt webcam:0 --classes person 'traffic light' --score-thr 0.5    # ends with Ctrl-C
        snv2 predict best.pth street.mp4 --track --region 0 200 640 480    # ids; one part of the image
        snv2 predict best.pth aerial.jpg --tiles 640    # small objects in large images
    """

    config: str | None = argument('config file; by default the one inside the checkpoint; an exported file needs none',
                                  metavar='CONFIG', nargs='?')
    weights: str | None = argument("weights of the config's model, or a file that snv2 export made",
                                   metavar='CHECKPOINT')
    inputs: Sequence[str] = argument('image and video files, folders, patterns, webcam:0 or a number', metavar='INPUT')
    out_dir: str = option('outputs', 'gets vis/ and the results (default: outputs)', metavar='DIR', kw_only=False)
    save: tuple[str, ...] = option(
        ('coco', ), 'coco (results.json), yolo (yolo/), csv (results.csv), or labels to correct, with the images: voc '
        '(voc/), cvat (cvat/), labelme (labelme/); default: coco', metavar='FORMAT')
    score_thr: float = option(0.3, "lowest score that is drawn and saved; COCO's file has all (default: 0.3)",
                              metavar='S')
    classes: tuple[str, ...] | None = option(None, 'detect these classes only', metavar='NAME')
    region: tuple[str, ...] | None = option(
        None, 'keep objects whose center is inside: X1 Y1 X2 Y2 in pixels, the corners X Y X Y X Y ... of a polygon, '
        "or a .json file of polygons, LabelMe's too", metavar='X|FILE')
    min_size: float | None = option(None, 'leave out boxes whose longer side has fewer than N pixels', metavar='N')
    max_size: float | None = option(None, 'leave out boxes whose longer side has more than N pixels', metavar='N')
    track: bool = option(False, 'follow objects through videos: ids in the drawings and results; needs trackers')
    tiles: int | None = option(None, 'detect in square tiles of N pixels a side, too: for small objects in large '
                               'images', metavar='N')
    overlap: float | None = option(None, 'least overlap of neighboring tiles, as a fraction of their side '
                                   '(default: 0.2)', metavar='F')
    tta: bool = option(False, 'test-time augmentation: merge the detections in each image and in its mirror image')
    batch_size: int = option(1, 'images, or tiles of one, that are computed at once; an .onnx file takes one '
                             '(default: 1)', metavar='N')
    device: str | None = _device()
    shuffle_free: bool = option(False, 'run the backbone in its shuffle-free form')
    cfg_options: dict[str, Any] | None = _cfg_options()

    def __post_init__(self) -> None:
        if not 0 <= self.score_thr <= 1:
            raise UserError(f'score_thr={self.score_thr} is not a score: expected 0 to 1.')
        for name in ('min_size', 'max_size'):
            if (value := getattr(self, name)) is not None and not 0 <= value < float('inf'):
                raise UserError(f'{name}={value}: expected a number of pixels.')
        if (self.min_size or 0) > (self.max_size or float('inf')):
            raise UserError(f'min_size={self.min_size} is larger than max_size={self.max_size}, which leaves no box.')
        if self.batch_size < 1:
            raise UserError(f'batch_size={self.batch_size}: expected 1 or more.')


@dataclass(frozen=True)
class ExportOptions:
    """Export a trained detector as one file from image to boxes, and check the file against the detector.

        snv2 export configs/faster_rcnn_snv2.py work_dirs/faster_rcnn_snv2/epoch_12.pth detector.onnx
        snv2 export work_dirs/faster_rcnn_snv2/epoch_12.pth detector.onnx    # its config is inside
        snv2 export CONFIG CHECKPOINT detector.xml --image photo.jpg    # for OpenVINO
        snv2 export CONFIG CHECKPOINT detector.param --precision fp16    # for ncnn
        snv2 export CONFIG CHECKPOINT page --target web    # a folder with a page that runs in a browser
        snv2 export CONFIG CHECKPOINT backbone.onnx --backbone-only
    """

    config: str | None = argument('config file; by default the one inside the checkpoint', nargs='?')
    checkpoint: str = argument("weights of the config's model")
    out: str = argument('file to write; its suffix says what runs it: .onnx onnxruntime, .xml OpenVINO, '
                        '.param ncnn. With --target web, a new folder', metavar='OUT')
    backbone_only: bool = option(False, 'from normalised images to features')
    keep_shuffle: bool = option(False, 'leave the backbone as it is, not shuffle-free')
    target: str | None = option(None, 'runtime that the file is for: onnxruntime, openvino, ncnn or web (default: by '
                                'its suffix; the first two run .onnx)', metavar='TARGET')
    image_size: str | None = option(None, 'what an image must fit into, in pixels (default: as the config says)',
                                    metavar='N|WxH')
    precision: str = option('fp32', 'of the weights (default: fp32); docs/deploy.md says which target takes which',
                            choices=('fp32', 'fp16', 'int8'))
    image: str | None = option(None, 'image on which the file is compared with the detector (default: a drawn one)',
                               metavar='FILE')
    cfg_options: dict[str, Any] | None = _cfg_options()


@dataclass(frozen=True)
class BrowseOptions:
    """Draw sheets of the data before training: images after augmentation with the boxes that the model learns from.

        snv2 browse configs/faster_rcnn_snv2.py                        # writes data_sheets/sheet_1.jpg, ...
        snv2 browse configs/nanodet_m_snv2.py --data-root /data/coco --count 60 --seed 1
        snv2 browse CONFIG --data fish/                                # your own data, see snv2 train
        snv2 browse CONFIG --split val                                 # what evaluation sees
    """

    config: str = argument('config file, or a checkpoint with its config inside')
    out_dir: str = option('data_sheets', 'gets the sheets (default: data_sheets)', metavar='DIR', kw_only=False)
    count: int = option(24, 'images to draw (default: 24)', metavar='N')
    split: str = option('train', 'default: train', choices=('train', 'val', 'test'))
    seed: int = option(0, 'of the augmentation (default: 0)', metavar='N')
    data: str | None = option(None, 'your own data set, in any format that is read', metavar='DIR')
    data_root: str | None = _data_root()
    cfg_options: dict[str, Any] | None = _cfg_options()

    def __post_init__(self) -> None:
        if self.count < 1:
            raise UserError(f'count={self.count}: expected 1 or more.')


@dataclass(frozen=True)
class CheckDataOptions:
    """Every problem of a data set in one pass: what is wrong, how often, and examples.

        snv2 check-data annotations/instances_train.json --images images/
        snv2 check-data fish/ --json problems.json
        snv2 check-data configs/faster_rcnn_snv2.py
        snv2 check-data --formats

    Ends with exit status 1 if a problem is fatal for training, else 0; 2 if there is nothing to check.
    """

    source: str | None = argument(
        "annotation file in COCO's format, folder of a data set in any format that is read, or a config, whose data "
        'are checked', default=None, metavar='ANNOTATIONS.json|DIR|CONFIG')
    images: str | None = option(None, 'folder of its images (default: found near it)', metavar='DIR')
    data: str | None = option(None, 'the same as naming the folder alone', metavar='DIR')
    json: str | None = option(None, 'write the reports there too', metavar='OUT')
    formats: bool = option(False, 'list the formats that --data reads, and what a folder is recognised by')


@dataclass(frozen=True)
class ConvertOptions:
    """Write a data set of any format that is read as COCO, YOLO or Pascal VOC, and read it back to check it.

        snv2 convert fish/ fish_coco/
        snv2 convert fish/ fish_yolo/ --to yolo

    Images are copied. What a format cannot hold is listed with counts.
    """

    data: str = argument('folder of a data set (snv2 check-data --formats), or the .yaml or .data of YOLO\'s',
                         metavar='DIR')
    out: str = argument('folder to write, which is new or empty', metavar='OUT')
    to: str = option('coco', 'format to write (default: coco)', choices=('coco', 'yolo', 'voc'))


@dataclass(frozen=True)
class AnalyzeOptions:
    """Where a detector goes wrong: AP by class and size, confusions, the worst mistakes as images, in one report.html.

        snv2 eval CONFIG CHECKPOINT --out results.json    # also notes what it evaluated on
        snv2 analyze results.json
        snv2 analyze others.json --ann data/coco/annotations/instances_val2017.json --images data/coco/val2017
    """

    results: str = argument('what snv2 eval --out or a COCO tool wrote', metavar='RESULTS.json')
    ann: str | None = option(None, 'COCO annotations of the same images (default: what snv2 eval has noted beside the '
                             'results)', metavar='ANNOTATIONS.json')
    images: str | None = option(None, 'folder of the images (default: as for --ann)', metavar='DIR')
    out: str = option('report.html', 'default: report.html', metavar='FILE')
    score_thr: float = option(0.3, 'lowest score that counts as a mistake; AP takes all (default: 0.3)', metavar='S')
    worst: int = option(24, 'how many false positives and how many misses to show (default: 24)', metavar='N')


@dataclass(frozen=True)
class PlotOptions:
    """Draw loss, learning rate and AP of a run, or of several over one another, from their logs.

        snv2 plot work_dirs/faster_rcnn_snv2                       # writes curves.png there
        snv2 plot work_dirs/first work_dirs/second --out both.png
    """

    runs: tuple[str, ...] = argument('work dirs of runs, finished or not', metavar='RUN')
    out: str | None = option(None, 'figure to write (default: curves.png in the run, runs.png here for several)',
                             metavar='FILE')


@dataclass(frozen=True)
class AppOptions:
    """Try detectors in a browser: drop an image, choose a checkpoint, move the threshold.

        snv2 app                                   # every checkpoint in work_dirs/*/
        snv2 app nanodet-plus-m-416 detector.onnx  # published weights by name and .onnx files need no config
        snv2 app configs/faster_rcnn_snv2.py epoch_11.pth epoch_12.pth --port 8000

    Needs gradio: pip install -e '.[app]'. Listens on this machine alone unless --host says otherwise, and sends nothing
    to anybody.
    """

    models: tuple[str, ...] = argument('checkpoints, .onnx files, and configs for the checkpoints behind them',
                                       default=(), metavar='FILE')
    device: str | None = _device()
    host: str = option('127.0.0.1', 'address to listen at (default: 127.0.0.1)')
    port: int | None = option(None, 'default: the first free one from 7860')


@dataclass(frozen=True)
class DownloadOptions:
    """Put COCO 2017, or published weights, where they are expected: downloaded with resume, checked, unpacked, counted.

        snv2 download                                  # all of COCO: 20 GB of traffic, 40 GB of disk
        snv2 download --splits val2017                 # to evaluate only: 1.1 GB
        snv2 download --subset 1000 --seed 0           # val2017 and 1000 images of train2017
        snv2 download --from ~/Downloads               # archives, or folders, that are there already
        snv2 download nanodet-plus-m-416               # weights, into PyTorch's cache; every command takes the name
        snv2 download nanodet-plus-m-416 --from FILE   # fetched elsewhere
    """

    name: str | None = argument(
        'weights in place of COCO: nanodet-m-320, -416, nanodet-plus-m-320, -416, nanodet-plus-m-1.5x-320, -416, or '
        "torchvision's classifiers shufflenet-v2-0.5x, -1.0x, -1.5x, -2.0x", default=None, metavar='NAME')
    root: str = option('data/coco', 'where COCO goes (default: data/coco)', metavar='DIR')
    splits: tuple[str, ...] = option(('train2017', 'val2017'), 'train2017 or val2017 (default: both)', metavar='SPLIT')
    subset: int | None = option(None, 'take only N images of train2017', metavar='N')
    seed: int = option(0, 'which N images (default: 0)', metavar='N')
    source: str | None = option(None, 'archives or folders, or the file of the weights, that are there already',
                                flag='--from', metavar='PATH')
    base_url: str = option('http://images.cocodataset.org', 'another server (default: http://images.cocodataset.org)',
                           metavar='URL')

    def __post_init__(self) -> None:
        given = [field.name for field in fields(self) if getattr(self, field.name) != field.default]
        if self.name is not None and (others := [name for name in given if name not in ('name', 'source')]):
            raise UserError(f'`{others[0]}` is about COCO, {self.name} are weights. Leave one of them out.')


@dataclass(frozen=True)
class ComplexityOptions:
    """Parameters and multiply-adds of detectors, as a Markdown table.

        snv2 complexity configs/faster_rcnn_snv2*.py configs/retinanet_snv2*.py
        snv2 complexity configs/faster_rcnn_snv2.py --shape 320 320
        snv2 complexity --variants        # every backbone, with a classifier, beside the paper's figures
    """

    configs: tuple[str, ...] = argument('config files', default=(), metavar='CONFIG')
    variants: bool = option(False, 'every variant of the backbone on a 224x224 image')
    shape: tuple[int, int] = option((800, 1333), 'size of the image in pixels (default: 800 1333)',
                                    metavar=('HEIGHT', 'WIDTH'))


@dataclass(frozen=True)
class BenchmarkOptions:
    """Latency, memory and cost of a backbone, or of whole detectors, in every form that can be run here.

        snv2 benchmark --width 1.0 --shape 800 1344 --shape 320 320
        snv2 benchmark --config configs/faster_rcnn_snv2.py --config configs/retinanet_snv2.py --shape 800 1333
    """

    width: float = option(1.0, 'width of the backbone (default: 1.0)')
    config: tuple[str, ...] = option((), "measure a config's whole detector; may be given repeatedly", metavar='CONFIG',
                                     action='append')
    checkpoint: str | None = option(None, 'weights of the only --config, or of the one inside (default: random)',
                                    metavar='FILE')
    shape: tuple[tuple[int, int], ...] = option(
        ((800, 1344), ), 'size of the input in pixels; may be given repeatedly (default: 800 1344)',
        metavar=('HEIGHT', 'WIDTH'), action='append')
    threads: int = option(2, 'threads that compute (default: 2)', metavar='N')
    rounds: int = option(30, 'rounds in which each form runs once (default: 30)', metavar='N')
    device: str = _device('cpu')
    skip: tuple[str, ...] = option((), 'leave out forms with this in their name, such as compiled', metavar='WORD')
    no_memory: bool = option(False, 'do not measure peak memory, which takes longest')
    out_dir: str | None = option(None, 'gets README.md, results.json and latency.png (default: '
                                 'benchmarks/latency/NAME_OF_MACHINE)', metavar='DIR')


@dataclass(frozen=True)
class GuidelinesOptions:
    """Measure the four guidelines of the ShuffleNet V2 paper on this machine.

        snv2 guidelines
        snv2 guidelines --threads 1 --runtime onnxruntime
        snv2 guidelines --device cuda --table G2
    """

    device: str = _device('cpu')
    threads: int | None = option(None, "threads on the CPU (default: PyTorch's own choice)", metavar='N')
    runtime: str = option('torch', 'default: torch', choices=('torch', 'onnxruntime'))
    table: str = option('all', 'default: all', choices=('G1', 'G2', 'G3', 'G4', 'all'))
    channels: str | None = option(None, "which of the paper's channel counts (default: gpu on a GPU, arm on a CPU)",
                                  choices=('gpu', 'arm'))
    seconds: float = option(10, 'how long to time a column of a table (default: 10)', metavar='S')
    out_dir: Path | None = option(None, 'default: benchmarks/guidelines/NAME_OF_THE_MACHINE', metavar='DIR')


@dataclass(frozen=True)
class DesignCheckOptions:
    """Say where backbones violate the four guidelines of the ShuffleNet V2 paper, and what that costs on this machine.

        snv2 design-check configs/faster_rcnn_snv2.py
        snv2 design-check configs/retinanet_snv2*.py mmdet::retinanet/retinanet_r50_fpn_1x_coco.py \\
            mmdet::ssd/ssdlite_mobilenetv2-scratch_8xb24-600e_coco.py --figure backbones.png

    One config is checked layer by layer, several are compared.
    """

    configs: tuple[str, ...] = argument('config files, or mmdet::NAME for one of mmdet', metavar='CONFIG')
    shape: tuple[int, int] = option((320, 320), 'size of the image in pixels (default: 320 320)',
                                    metavar=('HEIGHT', 'WIDTH'))
    device: str = _device('cpu')
    threads: int | None = option(None, "threads on the CPU (default: PyTorch's own choice)", metavar='N')
    rounds: int = option(20, 'how often each backbone is timed (default: 20)', metavar='N')
    figure: Path | None = option(None, 'draw the backbones side by side', metavar='FILE')


@dataclass(frozen=True)
class ReproduceOptions:
    """Reproduce a row of the paper's tables, or a NanoDet-Plus: train, evaluate, print it beside what was published.

        snv2 reproduce --table imagenet --width 1.0 --data-root /data/imagenet
        snv2 reproduce --table coco --width 1.0 --star --pretrain --gpus 8
        snv2 reproduce --table coco --width 1.0 --weights imagenet.pth --dry-run
        snv2 reproduce --table nanodet-plus --width 1.5 --size 416 --dry-run
        snv2 reproduce --report docs/results.md

    A run that was stopped goes on with --resume: its state is what lies in its output folder.
    """

    table: str | None = option(None, 'imagenet (table 8), coco (table 7) or nanodet-plus')
    width: str | None = option(None, '0.5, 1.0, 1.5 or 2.0')
    star: bool = option(False, 'ShuffleNet V2*, for detection')
    se: bool = option(False, 'with squeeze-and-excitation')
    size: int | None = option(None, 'table nanodet-plus: 320 (default) or 416 pixels', metavar='N')
    data_root: str | None = option(None, "folder of the table's data set (default: the config's)", metavar='DIR')
    pretrain: bool = option(False, 'table coco: train the backbone on ImageNet first')
    imagenet_root: str | None = option(
        None, "folder of ImageNet for --pretrain (default: the config's)", metavar='DIR')
    weights: str | None = option(None, 'table coco: weights that the backbone starts from; the others: weights to '
                                 'evaluate', metavar='FILE')
    config: str | None = option(None, "config in place of the row's own")
    classifier_config: str | None = option(
        None, "config of the training on ImageNet in place of the row's own", metavar='CONFIG')
    gpus: int = option(1, 'GPUs of this machine to train on (default: 1)', metavar='N')
    out: Path | None = option(None, 'output folder (default: work_dirs/reproduce/NAME_OF_ROW)', metavar='DIR')
    resume: bool = option(False, 'continue the run that is in the output folder')
    dry_run: bool = option(False, 'say what would run; estimate the hours')
    report: Path | None = option(None, 'write all tables, with the results below work_dirs/reproduce (or --out), and '
                                 'stop', metavar='FILE')


@dataclass(frozen=True)
class DemoOptions:
    """The whole way on built-in data: train a small Faster R-CNN, evaluate it, draw its detections: make demo.

        snv2 demo
        snv2 demo --config configs/nanodet_m_snv2_shapes.py --work-dir work_dirs/trial

    A second call resumes from the last checkpoint; with a finished training it evaluates and draws again.
    """

    config: str = option('configs/faster_rcnn_snv2_shapes.py', 'default: configs/faster_rcnn_snv2_shapes.py')
    work_dir: str | None = option(None, 'default: work_dirs/NAME_OF_CONFIG', metavar='DIR')


@dataclass(frozen=True)
class EnvOptions:
    """Print what a bug report needs: versions, and which operator runs on which device."""


@dataclass(frozen=True)
class RunOptions:
    """Run one of MMDetection's own tools, or any script, with this package registered first.

        snv2 run confusion_matrix.py CONFIG RESULTS.pkl OUT_DIR
        snv2 run path/to/script.py ARGUMENTS ...
    """

    script: str = argument("a script's path, or the name of a tool of MMDetection", metavar='SCRIPT')
    arguments: tuple[str, ...] = argument('what the script takes', default=(), metavar='ARGUMENT', nargs='...')
