"""``snv2 run``, with the tools of the installed MMDetection."""

import copyreg
import subprocess
import sys
from pathlib import Path

import mmdet
import pytest
import torch
from conftest import ROOT
from mmengine.logging import HistoryBuffer

from mmdet_shufflenetv2.cli import main

TOOLS = Path(mmdet.__file__).parent / '.mim' / 'tools'
SMALL_NANODET = """
_base_ = '{root}/configs/nanodet_m_snv2_shapes.py'
train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline
train_pipeline[2]['scale'] = test_pipeline[1]['scale'] = (64, 64)
_data = dict(data_root='{data}/', shapes=dict(num_train=12, num_val=6, size=96))
_loader = dict(batch_size=6, num_workers=0, persistent_workers=False)
train_dataloader = dict(**_loader, dataset=dict(pipeline=train_pipeline, **_data))
val_dataloader = dict(**_loader, dataset=dict(pipeline=test_pipeline, **_data))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file='{data}/annotations/instances_val2017.json')
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=1)
model = dict(test_cfg=dict(score_thr=0.0))  # so short a training finds little
"""


@pytest.fixture(scope='module')
def launch():
    """Call the command line in this process; returns its exit status."""

    def call(*args):
        before = sys.argv, list(sys.path)
        sys.argv = ['-m', *map(str, args)]
        try:
            main()
        except SystemExit as end:
            return end.code
        finally:
            sys.argv, sys.path[:] = before
        return 0

    return call


@pytest.fixture(scope='module')
def trained(tmp_path_factory, shapes_root, launch):
    """A folder with a config, a checkpoint and detections, as MMDetection's train.py and test.py write them."""
    folder = tmp_path_factory.mktemp('trained')
    (folder / 'small.py').write_text(SMALL_NANODET.format(root=ROOT, data=shapes_root))
    work_dir = folder / 'work_dir'
    assert launch('run', 'train.py', folder / 'small.py', '--work-dir', work_dir) == 0
    assert (
        launch(
            'run',
            'tools/test.py',
            folder / 'small.py',
            work_dir / 'epoch_1.pth',
            '--work-dir',
            work_dir,
            '--out',
            folder / 'found.pkl',
        )
        == 0
    )
    return folder


@pytest.mark.parametrize('name', sorted(path.relative_to(TOOLS).as_posix() for path in TOOLS.rglob('*.py')))
def test_every_tool_of_mmdetection_starts(name, launch, capsys):
    try:
        status, missing = launch('run', name, '--help'), None
    except (ModuleNotFoundError, AttributeError) as error:
        status, missing = 0, error.name
    # What some need beside MMDetection; benchmark.py gets None instead of psutil.
    assert str(missing).split('.')[0] not in ('mmcv', 'mmdet', 'mmengine', 'torch', 'mmdet_shufflenetv2')
    assert (status, 'usage: ' in capsys.readouterr().out) == (0, missing is None)


@pytest.mark.parametrize(
    ('tool', 'args', 'written'),
    [
        ('browse_dataset', '{run}/small.py --not-show --output-dir {out}', '*'),
        ('confusion_matrix', '{run}/small.py {run}/found.pkl {out}', 'confusion_matrix.png'),
        ('analyze_results', '{run}/small.py {run}/found.pkl {out} --topk 1', 'good/*.jpg'),
        ('analysis_tools/eval_metric', '{run}/small.py {run}/found.pkl', None),
        ('get_flops.py', '{run}/small.py --num-images 1', None),
        ('tools/misc/print_config.py', '{run}/small.py --save-path {out}/all.py', 'all.py'),
        ('publish_model', '{run}/work_dir/epoch_1.pth {out}/small.pth', 'small*.pth'),
        ('test', '{run}/small.py {run}/work_dir/epoch_1.pth --tta --work-dir {out}', '*/*.json'),
    ],
)
def test_a_tool_of_mmdetection_runs(trained, launch, tmp_path, tool, args, written):
    assert launch('run', tool, *args.format(run=trained, out=tmp_path).split()) == 0
    assert written is None or list(tmp_path.glob(written))


def test_script_runs_unchanged_after_importing_the_package(tmp_path):
    (tmp_path / 'beside.py').write_text('ANSWER = 42\n')
    (tmp_path / 'script.py').write_text(
        'from mmdet.apis import DetInferencer, init_detector\nimport sys, beside, mmcv.ops\n'
        'print(__name__, sys.argv[1:], beside.ANSWER)\nsys.exit(3)\n'
    )
    ended = subprocess.run(
        [sys.executable, '-m', 'mmdet_shufflenetv2', 'run', tmp_path / 'script.py', '--a', 'b'],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert (ended.returncode, ended.stdout.splitlines()[-1:]) == (3, ["__main__ ['--a', 'b'] 42"]), ended.stderr


@pytest.mark.parametrize(
    ('name', 'meant'),
    [('confusion_matrx.py', 'confusion_matrix'), ('tools/browse_data.py', 'browse_dataset'), ('not/a_tool', '.mim')],
)
def test_missing_script_is_reported_with_a_suggestion(launch, capsys, name, meant):
    assert launch('run', name) == 2
    message = capsys.readouterr().err
    assert message.startswith(f'error: Script not found: {name}. ')
    assert meant in message


@pytest.mark.parametrize(
    ('args', 'words'),
    [(['nothing'], 'error: unknown command: nothing.'), (['run'], 'the following arguments are required: SCRIPT')],
)
def test_incomplete_command_is_reported(launch, capsys, args, words):
    assert launch(*args) == 2
    assert words in capsys.readouterr().err


def test_a_script_reads_checkpoints_of_mmengine_with_torch_load(launch, tmp_path, capsys):
    ours = copyreg.dispatch_table.pop(HistoryBuffer)  # as MMEngine stores its log
    try:
        torch.save(dict(log=HistoryBuffer([1.0, 2.0], [1, 1])), tmp_path / 'a.pth')
    finally:
        copyreg.pickle(HistoryBuffer, ours)
    script = tmp_path / 'script.py'
    script.write_text(f"import torch\nprint(torch.load('{tmp_path}/a.pth')['log'].mean())\n")
    assert launch('run', script) == 0
    assert capsys.readouterr().out == '1.5\n'
    script.write_text(f"import torch\ntorch.load('{tmp_path}/a.pth', weights_only=True)\n")
    with pytest.raises(Exception, match='HistoryBuffer'):  # what a script says itself is left as it is
        launch('run', script)
