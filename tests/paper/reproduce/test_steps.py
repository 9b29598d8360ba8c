from functools import partial

import pytest

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.paper.reproduce.folder import write_json
from mmdet_shufflenetv2.paper.reproduce.steps import Evaluation, Speed, Training, launch


@pytest.mark.slow
def test_several_processes_are_told_their_ranks(tmp_path):
    code = (f'import os, pathlib; pathlib.Path({str(tmp_path)!r}, os.environ["RANK"]).write_text('
            f'os.environ["LOCAL_RANK"] + "/" + os.environ["WORLD_SIZE"])')
    launch(partial(exec, code), 2)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {'0': '0/2', '1': '1/2'}


@pytest.mark.parametrize(('noted', 'state', 'left'), [
    (None, 'not run', 1),
    ('epoch_4.pth', 'epoch 4 of 16', 0.75),
    ('epoch_16.pth', 'done', 0),
])
def test_a_training_knows_from_its_folder_how_far_it_is(small_classifier, tmp_path, noted, state, left):
    (tmp_path / 'epoch_16.pth').touch()  # not noted: perhaps not written to its end
    if noted:
        (tmp_path / 'last_checkpoint').write_text(str(tmp_path / noted))
        write_json(tmp_path / 'account.json', dict(images=72))
    training = Training('train', str(small_classifier), tmp_path)
    assert (training.state, training.left, training.done) == (state, left, left == 0)


def test_a_training_may_count_iterations(small_classifier, tmp_path):
    options = {'train_cfg': dict(_delete_=True, type='IterBasedTrainLoop', max_iters=100)}
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_50.pth'))
    training = Training('train', str(small_classifier), tmp_path, options=options)
    assert training.checkpoint == tmp_path / 'iter_100.pth'
    assert training.state == 'iter 50 of 100'
    assert training.left == 0.5


@pytest.mark.parametrize(('account', 'words'), [
    (None, 'holds checkpoints, and no account.json says how they came about'),
    (dict(images=71), 'has begun to train on 71 images, and its data set has 72 now'),
])
def test_a_training_goes_on_with_the_images_it_began_with_alone(small_classifier, tmp_path, account, words):
    training = Training('train', str(small_classifier), tmp_path)
    training.check()
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_4.pth'))
    if account:
        write_json(tmp_path / 'account.json', account)
    with pytest.raises(UserError, match=words):
        training.check()


def test_a_training_without_an_account_is_not_done(small_classifier, tmp_path):
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_16.pth'))
    assert not Training('train', str(small_classifier), tmp_path).done


@pytest.mark.parametrize(('content', 'done'), [(None, False), ('{"coco/bbox', False), ('{"coco/bbox_mAP": 0.3}', True)])
def test_an_evaluation_is_done_when_its_metrics_are_whole(tmp_path, content, done):
    if content:
        (tmp_path / 'metrics.json').write_text(content)
        write_json(tmp_path / 'account.json', dict(images=24))
    assert Evaluation('test', 'config.py', tmp_path).done == done


@pytest.mark.parametrize(('gpu', 'measured', 'state'), [
    (False, False, 'needs a GPU'), (True, False, 'not run'), (True, True, 'done'), (False, True, 'done')])
def test_speed_is_measured_once_and_on_a_gpu_only(tmp_path, monkeypatch, gpu, measured, state):
    monkeypatch.setattr('torch.cuda.is_available', lambda: gpu)
    if measured:
        write_json(tmp_path / 'speed.json', dict(images_per_second=100))
        write_json(tmp_path / 'account.json', dict(images=None))
    assert Speed('speed', 'config.py', tmp_path).state == state
