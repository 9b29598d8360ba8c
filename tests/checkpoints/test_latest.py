"""Finding the latest valid checkpoint of a folder."""

import pytest
import torch
from mmengine.config import Config

from mmdet_shufflenetv2.checkpoints.latest import is_valid_checkpoint, latest_valid_checkpoint
from mmdet_shufflenetv2.config.edits import set_resume


@pytest.fixture
def folder(tmp_path):
    for name, step in (('epoch_9', 90), ('epoch_10', 100), ('midway_95', 95), ('best_mAP_epoch_11', 110)):
        torch.save(dict(meta=dict(iter=step), state_dict=dict(x=torch.rand(1000))), tmp_path / f'{name}.pth')
    return tmp_path


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b'')


def replace_by_folder(path):
    path.unlink()
    path.mkdir()


def test_the_checkpoint_with_the_most_steps_is_the_latest(folder):
    assert latest_valid_checkpoint(folder).name == 'epoch_10.pth'
    (folder / 'epoch_10.pth').unlink()
    assert latest_valid_checkpoint(folder).name == 'midway_95.pth'


@pytest.mark.parametrize('damage', [cut, flip, empty, replace_by_folder])
def test_a_corrupt_file_is_skipped(folder, damage, capfd):
    damage(folder / 'epoch_10.pth')
    assert not is_valid_checkpoint(folder / 'epoch_10.pth')
    assert latest_valid_checkpoint(folder).name == 'midway_95.pth'
    damage(folder / 'midway_95.pth')
    assert latest_valid_checkpoint(folder).name == 'epoch_9.pth'


@pytest.mark.parametrize('name', ['nowhere', '.'])
def test_without_a_valid_checkpoint_there_is_none(tmp_path, name):
    (tmp_path / 'epoch_1.pth').write_bytes(b'PK')
    assert latest_valid_checkpoint(tmp_path / name) is None


def test_resuming_points_last_checkpoint_to_a_valid_file(folder):
    cut(folder / 'epoch_10.pth')
    (folder / 'last_checkpoint').write_text(str(folder / 'epoch_10.pth'))
    cfg = Config(dict(work_dir=str(folder)))
    set_resume(cfg, 'auto')
    assert cfg.load_from == (folder / 'last_checkpoint').read_text() == str(folder / 'midway_95.pth')
