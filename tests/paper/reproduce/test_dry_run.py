import pytest
from conftest import ROOT

from mmdet_shufflenetv2.paper.reproduce import dry_run as module
from mmdet_shufflenetv2.paper.reproduce.dry_run import dry_run
from mmdet_shufflenetv2.paper.reproduce.request import Request
from mmdet_shufflenetv2.paper.reproduce.rows import Row


@pytest.fixture(autouse=True)
def _steps_of_known_length(monkeypatch):
    """A training step takes 3.6 seconds and an evaluation step 0.36."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(module, 'seconds_per_step', lambda cfg, split, device: 3.6 if split == 'train' else 0.36)


# One process: 240 epochs of 1281167 // 128 steps and 30 evaluations of 50000 images, then one more.
TRAINING, EVALUATION = 240 * 10009 * 3.6 / 3600, 391 * 0.36 / 3600


def test_without_data_the_full_imagenet_is_counted(tmp_path):
    lines = list(dry_run(Request(Row('imagenet', 1.0), tmp_path)))
    assert '2,402,160 steps of 3.6 s for 1,281,167 images (data set not found), evaluations of 11,730 steps' in lines[1]
    assert '391 steps of 0.36 s for 50,000 images (data set not found)' in lines[2]
    assert f'{TRAINING + 31 * EVALUATION:,.1f} hours on 1 x' in lines[3]


def test_a_nanodet_plus_counts_300_epochs_of_coco(tmp_path):
    lines = list(dry_run(Request(Row('nanodet-plus', 1.0, size=416), tmp_path)))
    # 1222 batches of 96 of 117,266 images; 30 evaluations of 625 batches of 8 of 5,000, then one more.
    assert '366,600 steps of 3.6 s for 117,266 images (data set not found), evaluations of 18,750 steps' in lines[1]
    assert '625 steps of 0.36 s for 5,000 images (data set not found)' in lines[2]
    assert f'{(366600 * 3.6 + 31 * 625 * 0.36) / 3600:,.1f} hours on 1 x' in lines[3]


def test_slow_steps_are_announced(tmp_path, capsys):
    lines = dry_run(Request(Row('imagenet', 1.0), tmp_path))
    next(lines)
    assert capsys.readouterr().err == ''
    next(lines)
    said = capsys.readouterr().err
    assert 'train: counting images' in said
    assert 'train: timing steps of ' in said


def test_eight_gpus_share_the_steps(tmp_path):
    lines = list(dry_run(Request(Row('imagenet', 1.0), tmp_path, gpus=8)))
    assert '300,240 steps of 3.6 s' in lines[1]


def test_finished_work_is_not_counted(tmp_path):
    (tmp_path / 'train').mkdir()
    (tmp_path / 'train' / 'last_checkpoint').write_text('train/epoch_180.pth')
    lines = list(dry_run(Request(Row('imagenet', 1.0), tmp_path)))
    assert lines[1].startswith('train     epoch 180 of 240; ')
    assert f'{TRAINING / 4 + 8.5 * EVALUATION:,.1f} hours on 1 x' in lines[3]
    (tmp_path / 'train' / 'last_checkpoint').write_text('train/epoch_240.pth')
    (tmp_path / 'train' / 'provenance.json').write_text('{}')
    assert list(dry_run(Request(Row('imagenet', 1.0), tmp_path)))[1] == 'train     done'
