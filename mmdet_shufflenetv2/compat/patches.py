"""The register of patches of PyTorch, MMEngine, MMDetection, mmcv, pycocotools and gradio.

Every patch is applied with :func:`replace`, :func:`replaced` or :func:`install`, under its name in :data:`PATCHES`.
``README.md`` in this folder also lists when each patch is applied, and which upstream change makes it unnecessary. This
module does not import PyTorch, because exported detectors run without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

__all__ = ['PATCHES', 'install', 'replace', 'replaced']

P = ParamSpec('P')
R = TypeVar('R')

#: Name of a patch -> the problem without it. The last part of the name is the attribute.
PATCHES = {
    'sys.meta_path:mmcv._ext': 'mmcv-lite has no operators, and mmdet cannot be imported without them; a compiled mmcv._ext takes precedence',
    'mmcv.*, mmdet.*: placeholders of operators': 'forks of MMDetection define placeholders for missing operators when they are imported',
    'warnings.filters:pkg_resources': 'MMEngine imports pkg_resources, which warns each time; users cannot fix this',
    'mmdet.models.SSDHead.loss_cls': 'SSDHead has no loss_cls, which its inherited predict method reads: no SSD can predict',
    'mmdet.datasets.api_wrappers.COCO.createIndex': 'pycocotools treats the annotation id 0 as "not found" and counts that object as missed',
    'mmdet.datasets.api_wrappers.COCO.get_cat_ids': 'labels follow the order of categories in the file instead of the order of the classes',
    'mmdet.evaluation.CocoMetric.results2json': 'detections of classes that are not in the annotation file are evaluated as other classes',
    'mmdet.evaluation.metrics.coco_metric.COCOeval': 'CocoMetric always evaluates with pycocotools, which takes ten times as long as faster-coco-eval',
    'METRICS:CocoMetric': "MMDetection's configs contain CocoMetric, and should also evaluate with faster-coco-eval",
    'mmengine.fileio:json handler': 'MMEngine writes NaN into its logs and metrics, which is not JSON',
    'mmengine.fileio:atomic backend': 'MMEngine writes a checkpoint in place, so a killed process leaves a truncated file; this is an added backend',
    'mmcv.imfrombytes': 'mmcv does not load HEIC, and loads AVIF without the rotation that it stores',
    'CheckpointLoader:schemes': "MMEngine's loaders unpickle any object in a checkpoint",
    'copyreg:HistoryBuffer': "a HistoryBuffer's pickle contains builtins.getattr, which no safe loader may allow",
    'torch.load': 'loaders of other packages choose their own unpickling options',
    'AnchorHead.get_targets': 'older dense heads divide the loss by the number of objects in their own process, not by the mean over all',
    'BBoxHead.loss': 'box heads divide the loss by the number of boxes in their own process, not by the mean over all',
    'torch.distributed.is_initialized': 'heads share numbers with the other processes, which may have fewer batches to compute a validation loss on',
    'BaseSampler.sample': 'samplers use the global random generator: a resumed or distributed run would sample other boxes',
    'DataLoader.worker_init_fn': 'Ctrl-C also reaches the workers and ends them before the step is done',
    'CheckpointHook.file_backend': 'MMEngine removes the best checkpoint before it has saved the better one',
    'signal:SIGINT and SIGTERM': 'Ctrl-C or a cluster scheduler ends a run in the middle of a step',
    'signal:SIGCHLD': "PyTorch's handler treats the end of the workers as an error",
    'atexit:workers': 'at exit Python waits for workers that ignore the termination signal',
    'MMLogger.callHandlers': "MMEngine's log and a progress bar overwrite each other, and harmless messages fill the screen",
    'sys.stdout': 'the output of pycocotools and others would interrupt the progress output; it goes to the log',
    'warnings.showwarning': 'warnings of other packages fill the screen, and users cannot fix them',
    'BaseDenseHead._bbox_post_process': 'the export check compares the inputs of NMS, which MMDetection does not return',
    'mmdet.models.utils.filter_scores_and_topk': "MMDetection's heads keep the best of what they decode, and an export and its check need all",
    'mmcv.ops.deform_conv2d': 'ONNX has no deformable convolution before opset 19',
    'mmcv.ops.modulated_deform_conv2d': 'ONNX has no deformable convolution before opset 19',
    'mmcv.ops.masked_conv2d': 'ONNX has no masked convolution',
    'mmcv.ops.carafe': 'ONNX has no CARAFE',
    'mmcv.ops.multi_scale_deformable_attn_pytorch': 'a trace of it is valid for one image size',
    'torch.topk': 'DINO selects queries in a method that does not return which ones, and the export check needs them',
    'torch.linspace': 'a trace of it is valid for one number of steps',
    'SingleRoIExtractor.forward': 'it decides in Python which levels have RoIs',
    'gradio.Image.preprocess': 'gradio shows a traceback for a file that is not an image, and decodes every format that Pillow supports',
}


def replace(patch: str, owner: Any, value: Any) -> Any:
    """Replace an attribute of another package.

    Args:
        patch: Name of the patch in :data:`PATCHES`; the last part is the attribute.
        owner: The module, class or object.
        value: The new value.

    Returns:
        The original value, or None if there was none.

    Raises:
        KeyError: If the patch is not in the register.
    """
    _check(patch)
    name = patch.rpartition('.')[2]
    original = getattr(owner, name, None)
    setattr(owner, name, value)
    return original


@contextmanager
def replaced(patch: str, owner: Any, value: Any) -> Iterator[None]:
    """Replace an attribute of another package within a ``with`` block; arguments as in :func:`replace`."""
    name = patch.rpartition('.')[2]
    is_own, original = name in vars(owner), replace(patch, owner, value)
    try:
        yield
    finally:
        setattr(owner, name, original) if is_own else delattr(owner, name)


def install(patch: str, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Apply a patch with a call of another package, such as ``signal.signal``, and return the call's result.

    Raises:
        KeyError: If the patch is not in the register.
    """
    _check(patch)
    return call(*args, **kwargs)


def _check(patch: str) -> None:
    if patch not in PATCHES:
        raise KeyError(f'{patch} is not in the register of patches: add it to PATCHES and to compat/README.md.')
