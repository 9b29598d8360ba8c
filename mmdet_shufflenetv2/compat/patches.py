"""The register of what this package replaces of PyTorch, MMEngine, MMDetection, mmcv, pycocotools and gradio.

Every replacement goes through :func:`replace`, :func:`replaced` or :func:`install`, under its name in :data:`PATCHES`.
``README.md`` beside it also tells when each is put in, and what makes it needless. Nothing heavy is imported here:
exported detectors run without PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

__all__ = ['PATCHES', 'install', 'replace', 'replaced']

P = ParamSpec('P')
R = TypeVar('R')

#: What is replaced -> what goes wrong without it. The last part of a name is the attribute.
PATCHES = {
    'sys.meta_path:mmcv._ext':
        'mmcv-lite has no operators, and mmdet cannot be imported without; a compiled mmcv._ext comes first',
    'mmcv.*, mmdet.*: placeholders of operators':
        'the forks of MMDetection define placeholders for missing operators when they are imported',
    'warnings.filters:pkg_resources':
        'MMEngine imports pkg_resources, which warns each time; users can do nothing about it',
    'mmdet.models.SSDHead.loss_cls':
        'SSDHead has no loss_cls, which the prediction that it inherits asks for: no SSD can predict',
    'mmdet.datasets.api_wrappers.COCO.createIndex':
        'pycocotools takes the annotation id 0 for "not found" and counts that object as missed',
    'mmdet.datasets.api_wrappers.COCO.get_cat_ids':
        "labels follow the file's order of categories in place of the order of the classes",
    'mmdet.evaluation.CocoMetric.results2json':
        'detections of classes that the annotation file lacks are evaluated as others',
    'mmdet.evaluation.metrics.coco_metric.COCOeval':
        "CocoMetric offers no choice of the evaluation; pycocotools' takes ten times as long as faster-coco-eval's",
    'METRICS:CocoMetric': 'configs of MMDetection name CocoMetric, and should evaluate with faster-coco-eval, too',
    'mmengine.fileio:json handler': 'MMEngine writes NaN into its logs and metrics, which is not JSON',
    'mmengine.fileio:atomic backend':
        'MMEngine writes a checkpoint in place: a kill leaves a truncated file; registered beside its backends',
    'CheckpointLoader:schemes': "MMEngine's loaders unpickle whatever a checkpoint names",
    'copyreg:HistoryBuffer': "a HistoryBuffer's pickle names builtins.getattr, which no safe loader may allow",
    'torch.load': 'loaders of others choose by themselves how they unpickle',
    'AnchorHead.get_targets':
        'older dense heads divide the loss by the objects of their own process, not by the mean over all',
    'BBoxHead.loss': 'heads of boxes divide the loss by the boxes of their own process, not by the mean over all',
    'BaseSampler.sample':
        'samplers draw from the process-wide generator: a resumed or distributed run would draw other boxes',
    'DataLoader.worker_init_fn': 'Ctrl-C reaches the workers, too, and ends them before the step is done',
    'CheckpointHook.file_backend': 'MMEngine removes the best checkpoint before it has saved the better one',
    'signal:SIGINT and SIGTERM': 'Ctrl-C and a cluster end a run in the middle of a step',
    'signal:SIGCHLD': "PyTorch's handler takes the end of the workers for a fault",
    'atexit:workers': 'Python waits at its end for workers that ignore the signal to end',
    'runner.logger:streams':
        "MMEngine's log and a progress bar write over each other, and warnings of sound runs fill the screen",
    'sys.stdout': 'what pycocotools prints would stand between the lines of the progress; it goes to the log',
    'BaseDenseHead._bbox_post_process': 'the export check compares what enters NMS, which MMDetection does not return',
    'gradio.Image.preprocess': 'gradio ends in a traceback on a file that is no image, and decodes whatever Pillow can',
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
