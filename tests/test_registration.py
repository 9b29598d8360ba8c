"""Configs dumped by a run can be loaded and built with only this package imported."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

import mmdet_shufflenetv2
from mmdet_shufflenetv2.config.options import TrainOptions
from mmdet_shufflenetv2.config.resolve import resolve

DETECTORS = (
    'faster_rcnn_snv2_shapes',
    'light_head_rcnn_snv2_shapes',
    'nanodet_m_snv2_shapes',
    'nanodet_plus_m_snv2_shapes',
)
SMALL = """
_base_ = ['{root}/configs/{base}.py']
_data = dict(data_root='{data}/', shapes=dict(num_train=12, num_val=6, size=96))
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False, dataset=_data)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=_data)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file='{data}/annotations/instances_val2017.json')
test_evaluator = val_evaluator
visualizer = dict(type='BoxVisualizer', vis_backends=[dict(type='LocalVisBackend')], name='visualizer')
"""
# Names that configs of 0.1 have.
OLD = {
    'FaultTolerantCheckpointHook': 'DurableCheckpointHook',
    'FaultTolerantDataset': 'DurableDataset',
    'LoadCompleteImage': 'LoadWholeImage',
}
BUILD = """
import sys
import mmdet_shufflenetv2
print('imported', *(name for name in sys.modules if name.startswith('mmdet_shufflenetv2')))
from mmengine.config import Config
from mmengine.runner import Runner
for path in sys.argv[1:]:
    cfg = Config.fromfile(path)
    cfg.experiment_name = path.replace('/', '_')
    runner = Runner.from_cfg(cfg)  # model, hooks, visualizer
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.train_loop  # and the loop's data set, sampler and pipeline
    runner.val_loop, runner.test_loop  # and their metrics
    runner.build_param_scheduler(runner.param_schedulers)
    print('built', path)
"""


@pytest.fixture(scope='module')
def builder(tmp_path_factory, shapes_root, small_classifier):
    """What a new process has built of the dumped configs, which it is too slow to start for each."""
    folder, dumped = tmp_path_factory.mktemp('dumped'), {}
    small = {name: folder / f'{name}.py' for name in DETECTORS}
    for name, path in small.items():
        path.write_text(SMALL.format(root=ROOT, base=name, data=shapes_root))
    for name, path in (small | {'classifier': small_classifier}).items():
        cfg, _ = resolve(TrainOptions(str(path), work_dir=str(folder / name), tracker=('tensorboard',)))
        dumped[name] = folder / f'dumped_{name}.py'
        cfg.dump(dumped[name])
    text = dumped['faster_rcnn_snv2_shapes'].read_text()
    for new, old in OLD.items():
        assert f"'{new}'" in text
        text = text.replace(f"'{new}'", f"'{old}'")
    dumped['as 0.1 names it'] = folder / 'dumped_old.py'
    dumped['as 0.1 names it'].write_text(text)
    done = subprocess.run(
        [sys.executable, '-c', BUILD, *map(str, dumped.values())],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )
    return done, dumped


@pytest.mark.slow
@pytest.mark.parametrize('name', [*DETECTORS, 'classifier', 'as 0.1 names it'])
def test_dumped_config_builds_without_other_imports(builder, name):
    done, dumped = builder
    assert f'built {dumped[name]}' in done.stdout.splitlines(), done.stderr


@pytest.mark.slow
def test_every_module_that_registers_something_is_imported_with_the_package(builder):
    package = Path(mmdet_shufflenetv2.__file__).parent
    registering = {
        '.'.join(path.relative_to(package.parent).with_suffix('').parts)
        for path in package.rglob('*.py')
        if 'register_module(' in path.read_text()
    }
    imported = next(line for line in builder[0].stdout.splitlines() if line.startswith('imported ')).split()
    assert registering
    assert registering <= set(imported)
