"""The register of what this package replaces of PyTorch, MMEngine, MMDetection, mmcv, pycocotools and gradio.

Every replacement goes through :func:`replace`, :func:`replaced` or :func:`install`, under its name in :data:`PATCHES`.
``README.md`` beside it has the same table. Nothing heavy is imported here: exported detectors run without PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, ParamSpec, TypeVar

__all__ = ['PATCHES', 'Patch', 'install', 'replace', 'replaced']

P = ParamSpec('P')
R = TypeVar('R')


class Patch(NamedTuple):
    """One replacement."""

    #: What goes wrong without it.
    why: str
    #: When it is put in, and for how long.
    when: str
    #: The change upstream after which it can go.
    until: str


_IMPORT = 'import of the package, for good'
_TRAINING = 'start of a training, on its own objects'

#: What is replaced -> why, when and until when. The last part of a name is the attribute.
PATCHES = {
    'sys.meta_path:mmcv._ext': Patch(
        'mmcv-lite has no operators, and mmdet cannot be imported without; a compiled mmcv._ext comes first',
        _IMPORT, 'mmcv-lite falls back to torchvision by itself'),
    'mmcv.*, mmdet.*: placeholders of operators': Patch(
        'the forks of MMDetection define placeholders for missing operators when they are imported',
        'import of the package after mmdet, for good', 'the forks look an operator up when it is called'),
    'warnings.filters:pkg_resources': Patch(
        'MMEngine imports pkg_resources, which warns each time; users can do nothing about it',
        _IMPORT, 'MMEngine uses importlib.metadata'),
    'mmdet.models.SSDHead.loss_cls': Patch(
        'SSDHead has no loss_cls, which the prediction that it inherits asks for: no SSD can predict',
        _IMPORT, 'SSDHead defines loss_cls'),
    'mmdet.datasets.api_wrappers.COCO.createIndex': Patch(
        'pycocotools takes the annotation id 0 for "not found" and counts that object as missed',
        _IMPORT, 'pycocotools marks unmatched objects with -1'),
    'mmdet.datasets.api_wrappers.COCO.get_cat_ids': Patch(
        "labels follow the file's order of categories in place of the order of the classes",
        _IMPORT, 'get_cat_ids keeps the order of cat_names'),
    'mmdet.evaluation.CocoMetric.results2json': Patch(
        'detections of classes that the annotation file lacks are evaluated as others',
        _IMPORT, 'CocoMetric maps labels to categories by name'),
    'mmdet.evaluation.metrics.coco_metric.COCOeval': Patch(
        "CocoMetric offers no choice of the evaluation; pycocotools' takes ten times as long as faster-coco-eval's",
        'while a CocoMetric of this package computes', 'CocoMetric has an argument for it'),
    'METRICS:CocoMetric': Patch(
        'configs of MMDetection name CocoMetric, and should evaluate with faster-coco-eval, too',
        _IMPORT, 'CocoMetric has an argument for it'),
    'mmengine.fileio:json handler': Patch(
        'MMEngine writes NaN into its logs and metrics, which is not JSON',
        _IMPORT, 'JsonHandler writes null'),
    'mmengine.fileio:atomic backend': Patch(
        "MMEngine writes a checkpoint in place: a kill leaves a truncated file; registered beside its backends",
        _IMPORT, 'LocalBackend writes atomically'),
    'CheckpointLoader:schemes': Patch(
        "MMEngine's loaders unpickle whatever a checkpoint names",
        _IMPORT, 'MMEngine loads with weights_only=True and stores its logs as plain data'),
    'copyreg:HistoryBuffer': Patch(
        "a HistoryBuffer's pickle names builtins.getattr, which no safe loader may allow",
        _IMPORT, 'MMEngine stores HistoryBuffer as plain data'),
    'torch.load': Patch(
        'loaders of others choose by themselves how they unpickle',
        _IMPORT + '; asks whether such a loader is at work in its thread',
        'MMEngine passes weights_only=True to every loader'),
    'AnchorHead.get_targets': Patch(
        'older dense heads divide the loss by the objects of their own process, not by the mean over all',
        _TRAINING + ', with several processes', 'AnchorHead shares avg_factor as its newer heads do'),
    'BBoxHead.loss': Patch(
        'heads of boxes divide the loss by the boxes of their own process, not by the mean over all',
        _TRAINING + ', with several processes', 'BBoxHead shares its number of boxes'),
    'BaseSampler.sample': Patch(
        'samplers draw from the process-wide generator: a resumed or distributed run would draw other boxes',
        _TRAINING, 'samplers take a generator'),
    'DataLoader.worker_init_fn': Patch(
        'Ctrl-C reaches the workers, too, and ends them before the step is done',
        _TRAINING, "PyTorch's workers can be told to ignore signals"),
    'CheckpointHook.file_backend': Patch(
        'MMEngine removes the best checkpoint before it has saved the better one',
        'while the best checkpoint is saved', 'CheckpointHook removes it afterwards'),
    'signal:SIGINT and SIGTERM': Patch(
        'Ctrl-C and a cluster end a run in the middle of a step',
        'from start to end of a training or a benchmark', 'MMEngine stops between two steps'),
    'signal:SIGCHLD': Patch(
        "PyTorch's handler takes the end of the workers for a fault",
        'end of the process', 'PyTorch ends its workers itself, whatever they ignore'),
    'atexit:workers': Patch(
        "Python waits at its end for workers that ignore the signal to end",
        'start of a training, for good', "PyTorch's workers can be told to ignore signals"),
    'runner.logger:streams': Patch(
        "MMEngine's log and a progress bar write over each other, and warnings of sound runs fill the screen",
        'during a training', 'MMEngine has a hook for progress bars'),
    'sys.stdout': Patch(
        'what pycocotools prints would stand between the lines of the progress; it goes to the log',
        'during a training', 'pycocotools logs'),
    'BaseDenseHead._bbox_post_process': Patch(
        'the export check compares what enters NMS, which MMDetection does not return',
        'while an exported file is checked', 'predict_by_feat takes with_nms=False for all heads'),
    'gradio.Image.preprocess': Patch(
        'gradio ends in a traceback on a file that is no image, and decodes whatever Pillow can',
        'when the page is made, on its own image', 'gradio lets a component refuse a file with a message'),
}


def replace(patch: str, owner: Any, value: Any) -> Any:
    """Replace an attribute of others.

    Args:
        patch: Its name in :data:`PATCHES`; the last part is the attribute.
        owner: The module, class or object.
        value: What takes its place.

    Returns:
        What was there before; None where there was nothing.

    Raises:
        KeyError: If the patch is not in the register.
    """
    _check(patch)
    name = patch.rpartition('.')[2]
    before = getattr(owner, name, None)
    setattr(owner, name, value)
    return before


@contextmanager
def replaced(patch: str, owner: Any, value: Any) -> Iterator[None]:
    """Within it, an attribute of others is replaced; arguments as :func:`replace` has them."""
    name = patch.rpartition('.')[2]
    of_its_own, before = name in vars(owner), replace(patch, owner, value)
    try:
        yield
    finally:
        setattr(owner, name, before) if of_its_own else delattr(owner, name)


def install(patch: str, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Replace something by a call of others, such as ``signal.signal``, and return what it returns.

    Raises:
        KeyError: If the patch is not in the register.
    """
    _check(patch)
    return call(*args, **kwargs)


def _check(patch: str) -> None:
    if patch not in PATCHES:
        raise KeyError(f'{patch} is not in the register of patches. Add it to PATCHES and to compat/README.md.')
