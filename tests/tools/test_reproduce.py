"""The command line of tools/reproduce.py; the rows themselves are run in tests/reproduce."""

import re

import pytest
import torch
import torchvision
from conftest import ROOT
from test_bad_input import assert_refused

ROW = ['--table', 'imagenet', '--width', '0.5']


@pytest.fixture(autouse=True)
def _in_the_project(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope='module')
def wide_weights(tmp_path_factory):
    path = tmp_path_factory.mktemp('weights') / 'wide.pth'
    torch.save(torchvision.models.shufflenet_v2_x1_5().state_dict(), path)
    return path


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        ([], ['a row', '--table', '--width']),
        (['--table', 'coco', '--width', '0.7'], ['no row of width 0.7', '0.5, 1.0, 1.5, 2.0']),
        (['--table', 'voc', '--width', '1.0'], ['--table voc']),
        (['--table', 'nanodet-plus', '--width', '1.0', '--size', '640'], ['no row of size 640', '320, 416']),
        ([*ROW, '--size', '416'], ['no row of size 416', 'omit --size']),
        ([*ROW, '--star'], ['has no row --star']),
        ([*ROW, '--pretrain'], ['--pretrain is for table coco']),
        ([*ROW, '--data-root', '/nowhere'], ['--data-root /nowhere is not a folder']),
        ([*ROW, '--data-root', ROOT / 'docs'], ['Folder not found', 'docs/train', '{train,val}/CLASS/*.jpeg']),
        ([*ROW, '--data-root', ROOT / 'docs', '--dry-run'], ['Folder not found', 'docs/train']),
        ([*ROW, '--weights', 'nowhere.pth'], ['nowhere.pth', '--weights FILE']),
        ([*ROW, '--config', 'configs/nothing.py'], ['Config not found: configs/nothing.py']),
        ([*ROW, '--weights', 'LICENSE'], ['LICENSE', 'PyTorch checkpoint']),
        ([*ROW, '--gpus', '100'], ['--gpus 100: PyTorch finds']),
    ],
)
def test_mistakes_are_reported_in_a_sentence(tool, arguments, words, tmp_path):
    out = [] if '--dry-run' in arguments else ['--out', tmp_path / 'out']
    assert_refused(tool('reproduce.py', *arguments, *out), *words)
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('dry_run', [[], ['--dry-run']])
@pytest.mark.parametrize(
    'arguments',
    [
        ['--table', 'imagenet', '--width', '0.5', '--config', 'configs/imagenet/shufflenet_v2_torchvision_0.5x.py'],
        ['--table', 'coco', '--width', '0.5', '--config', 'configs/faster_rcnn_snv2_0.5x.py'],
    ],
)
def test_rejects_weights_of_another_width(tool, arguments, dry_run, wide_weights, tmp_path):
    ended = tool('reproduce.py', *arguments, '--weights', wide_weights, '--out', tmp_path / 'out', *dry_run)
    assert_refused(ended, 'another width', '(176, 352, 704)', '(48, 96, 192)')
    assert not (tmp_path / 'out').exists()


def test_folder_of_another_row_is_unchanged(tool, small_classifier, image_folder_root, tmp_path):
    (tmp_path / 'run.json').write_text('{"row": "coco_star_1.0x"}')
    ended = tool('reproduce.py', *ROW, '--config', small_classifier, '--out', tmp_path, '--resume')
    assert_refused(ended, 'coco_star_1.0x, not imagenet_0.5x', '--out DIR')
    assert [path.name for path in tmp_path.iterdir()] == ['run.json']


@pytest.mark.slow
def test_dry_run_prints_steps_and_hours_and_writes_nothing(tool, small_classifier, small_config, tmp_path):
    ended = tool(
        'reproduce.py',
        '--table',
        'coco',
        '--width',
        '0.5',
        '--pretrain',
        '--config',
        small_config,
        '--classifier-config',
        small_classifier,
        '--out',
        tmp_path / 'out',
        '--dry-run',
    )
    assert ended.status == 0, ended.err
    # 16 epochs of 72 images in batches of 12; 2 epochs of 12 images in batches of 4; 6 images to test on.
    assert re.search(
        r'pretrain  not run; 96 steps of [\d.]+ s for 72 images, evaluations of 4 steps of [\d.]+ s: '
        r'[\d.]+ minutes',
        ended.out,
    ), ended.out
    assert re.search(r'train     not run; 6 steps of [\d.]+ s for 12 images, evaluations of 4 steps', ended.out)
    assert re.search(r'test      not run; 2 steps of [\d.]+ s for 6 images', ended.out)
    assert re.search(r'in all    [\d.]+ (minutes|hours) on 1 x \w+', ended.out)
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('name', ['results.md', 'new/folder/results.md'])
def test_report_is_written_to_the_given_path(tool, tmp_path, name):
    ended = tool('reproduce.py', '--report', tmp_path / name, '--out', tmp_path)
    assert ended.status == 0, ended.err
    assert '| ShuffleNet V2* 2.0x | mmAP % | 34.2 |  | not run |' in (tmp_path / name).read_text()


@pytest.mark.parametrize(('name', 'words'), [('', 'is a folder'), ('file/results.md', 'cannot create')])
def test_unwritable_report_is_reported(tool, tmp_path, name, words):
    (tmp_path / 'file').touch()
    assert_refused(tool('reproduce.py', '--report', tmp_path / name, '--out', tmp_path), '--report', words)
