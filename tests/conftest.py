"""Fixtures: paths of real data, a small Shapes data set, and calls of tools."""

from __future__ import annotations

import functools
import gc
import os
import runpy
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import config as mmengine_config
from mmengine.logging import MMLogger
from mmengine.visualization import Visualizer
from PIL import Image

from mmdet_shufflenetv2.data import make_shapes

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / 'shared'

# MMEngine lays out a config's text nicely several times a run, half a second each.
mmengine_config.FormatCode = lambda text, **_: (text, True)
# It reads the 200 YAML files about MMDetection's configs for each config that builds on one, a second each.
mmengine_config.Config._get_cfg_path = staticmethod(functools.cache(mmengine_config.Config._get_cfg_path))

# Two cores, one process or, with pytest-xdist, one for each.
torch.set_num_threads(int(os.environ.get('OMP_NUM_THREADS', 1 if 'PYTEST_XDIST_WORKER' in os.environ else 2)))
if os.environ.get('TESTS_WITHOUT_ONEDNN'):  # make test-portable
    torch.backends.mkldnn.enabled = False


# Where files of tests run side by side, those that take a minute or more must not begin last.
LONGEST = ('test_distributed.py', 'test_onnx_export.py', 'test_heads.py')


#: Parameters of a test that runs on the CPU, and on a GPU if there is one. All that need one: pytest -m gpu
DEVICES = ('cpu', pytest.param('cuda', marks=pytest.mark.gpu))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONGEST)
    for item in items if not torch.cuda.is_available() else ():
        if item.get_closest_marker('gpu'):
            item.add_marker(pytest.mark.skip(reason='needs a GPU'))


def pytest_collection_finish() -> None:
    """MMEngine collects garbage with each data set; the modules that are loaded by now need not be gone through."""
    if 'ONEDNN_MAX_CPU_ISA' in os.environ:
        # PyTorch's oneDNN has read it after this; OpenVINO's own, which lacks kernels for old processors, must not.
        torch.nn.functional.conv2d(torch.ones(1, 8, 8, 8), torch.ones(8, 8, 3, 3))
        del os.environ['ONEDNN_MAX_CPU_ISA']
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    gc.unfreeze()


def needs_shared(*parts: str) -> pytest.MarkDecorator:
    path = SHARED.joinpath(*parts)
    return pytest.mark.skipif(
        not path.exists(), reason=f'needs test data that is not part of this repository: {"/".join(parts)}'
    )


@pytest.fixture(autouse=True)
def _fresh_logger() -> None:
    """MMEngine's logger keeps the stdout of the test in which it was made; writing there later is an error.

    Its visualizer is called by the second in which a run began, and tests can begin two in one.
    """
    MMLogger._instance_dict.clear()
    kinds = [Visualizer]
    for kind in kinds:
        kind._instance_dict.clear()
        kinds += kind.__subclasses__()


@pytest.fixture(scope='session')
def shapes_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shapes with 12 images to train on and 6 to evaluate on. Tests that change it copy it."""
    return make_shapes(tmp_path_factory.mktemp('data') / 'shapes', num_train=12, num_val=6, size=96)


@dataclass
class Ended:
    """Result of a tool."""

    status: int
    out: str
    err: str


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    """Call a command line of tools/ in this process (importing torch and mmdet again takes seconds)."""

    def call(name: str, *args: object) -> Ended:
        monkeypatch.setattr(sys, 'argv', [name, *map(str, args)])
        monkeypatch.syspath_prepend(str(ROOT / 'tools'))
        monkeypatch.setenv('MMDET_SNV2_NO_PYTHON_CONFIG', '')  # a flag sets it; undone after the test
        monkeypatch.delenv('MMDET_SNV2_NO_PYTHON_CONFIG')
        status, threads = 0, torch.get_num_threads()
        try:
            runpy.run_path(str(ROOT / 'tools' / name), run_name='__main__')
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        finally:
            torch.set_num_threads(threads)
        captured = capfd.readouterr()
        return Ended(status, captured.out, captured.err)

    return call


@pytest.fixture
def http_folder(tmp_path: Path):
    """A folder served on this machine, and its address."""
    import threading
    from functools import partial
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    folder = tmp_path / 'served'
    folder.mkdir()
    server = ThreadingHTTPServer(('127.0.0.1', 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f'http://127.0.0.1:{server.server_port}'
    server.shutdown()


SMALL_CONFIG = """
_base_ = ['{root}/configs/{base}']
_data = dict(data_root='{data}/', shapes=dict(num_train=12, num_val=6, size=96))
train_dataloader = dict(batch_size=4, num_workers=0, persistent_workers=False, dataset=_data)
val_dataloader = dict(batch_size=4, num_workers=0, persistent_workers=False, dataset=_data)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file='{data}/annotations/instances_val2017.json')
test_evaluator = val_evaluator
model = dict(
    backbone=dict(widen_factor=0.5), neck=dict(in_channels=[48, 96, 192]),
    test_cfg=dict(rcnn=dict(score_thr=0.0)))  # two epochs find little
train_cfg = dict(max_epochs=2, val_interval=1)
param_scheduler = [dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=4)]
default_hooks = dict(logger=dict(interval=1))
"""


@pytest.fixture(scope='session')
def small_config(tmp_path_factory: pytest.TempPathFactory, shapes_root: Path) -> Path:
    """Faster R-CNN on the small Shapes, two epochs of three steps."""
    path = tmp_path_factory.mktemp('configs') / 'small.py'
    path.write_text(SMALL_CONFIG.format(root=ROOT, base='faster_rcnn_snv2_shapes.py', data=shapes_root))
    return path


@pytest.fixture(scope='session')
def image_folder_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of three kinds of stripes in class folders: 24 per class for training, 8 for evaluation, of all sizes."""
    root = tmp_path_factory.mktemp('data') / 'stripes'
    rng = np.random.default_rng(0)
    for split, count in (('train', 24), ('val', 8)):
        for name, (down, right) in dict(across=(1, 0), down=(0, 1), slanted=(0.7, 0.7)).items():
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                y, x = np.mgrid[: rng.integers(40, 64), : rng.integers(40, 64)]
                wave = np.sin((y * down + x * right) * rng.uniform(0.8, 1.0) + rng.uniform(0, 6))[..., None]
                image = 128 + wave * rng.uniform(60, 100, 3) + rng.normal(0, 6, (*y.shape, 3))
                Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(root / split / name / f'{number}.jpeg')
    return root


SMALL_CLASSIFIER = """
_base_ = ['{root}/configs/imagenet/{base}']
_small = [
    dict(type='torchvision/Resize', size=(40, 40)), dict(type='torchvision/PILToTensor'), dict(type='ToBGR')]
_loader = dict(batch_size=12, num_workers=0, persistent_workers=False, pin_memory=False)
train_dataloader = dict(**_loader, dataset=dict(data_root='{data}/', pipeline=_small))
val_dataloader = dict(**_loader, dataset=dict(data_root='{data}/', pipeline=_small))
test_dataloader = val_dataloader
model = dict(num_classes=3)
auto_scale_lr = dict(enable=False)
optim_wrapper = dict(optimizer=dict(lr=0.1))
train_cfg = dict(max_epochs=16, val_interval=8)
param_scheduler = dict(end=16)
custom_hooks = [dict(type='NormStatisticsHook', num_batches=6)]
default_hooks = dict(logger=dict(interval=1))
randomness = dict(seed=0)
"""


@pytest.fixture(scope='session')
def small_classifier(tmp_path_factory: pytest.TempPathFactory, image_folder_root: Path) -> Path:
    """The 0.5x classifier of the authors on the stripes at 40 pixels, 16 epochs of six steps."""
    path = tmp_path_factory.mktemp('configs') / 'small_classifier.py'
    path.write_text(SMALL_CLASSIFIER.format(root=ROOT, base='shufflenet_v2_0.5x.py', data=image_folder_root))
    return path


SMALL_NANODET = """
_base_ = ['{root}/configs/nanodet_m_snv2.py']
model = dict(backbone=dict(init_cfg=None, widen_factor=0.5), neck=dict(in_channels=[48, 96, 192]),
             test_cfg=dict(score_thr=0.5))
test_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='FitResize', scale=(64, 64)),
    dict(type='CenterPad', size=(64, 64), pad_val=[103.53, 116.28, 123.675]),
    dict(type='PackDetInputs',
         meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'padding'))]
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
"""


@pytest.fixture(scope='session')
def small_nanodet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Config and checkpoint of a NanoDet-m for 64 pixels whose random weights give scores that differ."""
    from mmdet.registry import MODELS
    from mmdet.utils import register_all_modules

    folder = tmp_path_factory.mktemp('nanodet')
    config, checkpoint = folder / 'small.py', folder / 'small.pth'
    config.write_text(SMALL_NANODET.format(root=ROOT))
    register_all_modules(init_default_scope=True)
    torch.manual_seed(0)
    model = MODELS.build(mmengine_config.Config.fromfile(config).model)
    for layer in model.bbox_head.gfl_cls:
        torch.nn.init.normal_(layer.weight, std=1.0)
        torch.nn.init.zeros_(layer.bias)
    torch.save({'state_dict': model.state_dict()}, checkpoint)
    return config, checkpoint


@pytest.fixture
def layout(shapes_root: Path, tmp_path: Path):
    """Write Shapes in one of ``own_data_layouts.LAYOUTS``; returns the folder."""
    from own_data_layouts import LAYOUTS

    def make(name: str) -> Path:
        LAYOUTS[name](shapes_root, tmp_path / 'data')
        return tmp_path / 'data'

    return make


@pytest.fixture
def bad_server(monkeypatch: pytest.MonkeyPatch):
    """A local server that can simulate faults."""
    from coco_server import Server

    from mmdet_shufflenetv2.utils import download

    monkeypatch.setattr(download, 'FIRST_WAIT', 0.0)
    server = Server()
    yield server
    server.http.shutdown()


@pytest.fixture
def zips(shapes_root: Path, tmp_path: Path) -> Path:
    """Folder with the archives of a small COCO."""
    from coco_server import write_archives

    return write_archives(shapes_root, tmp_path / 'zips')


@pytest.fixture
def coco(zips: Path, bad_server, monkeypatch: pytest.MonkeyPatch):
    """The server with faults has this COCO, which the package treats as the published one."""
    from coco_server import publish

    from mmdet_shufflenetv2.data.coco import published

    monkeypatch.setattr(published, 'ARCHIVES', publish(zips, bad_server))
    return bad_server
