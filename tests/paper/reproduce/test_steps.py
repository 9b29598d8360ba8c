from functools import partial
from pathlib import Path

import pytest

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.paper.reproduce.folder import write_json
from mmdet_shufflenetv2.paper.reproduce.steps import Evaluation, Speed, Step, Training, launch


def test_a_step_must_define_check_done_and_run():
    with pytest.raises(TypeError, match='check.*done.*run'):
        Step('train', 'config.py', Path())


@pytest.mark.slow
def test_several_processes_get_their_ranks(tmp_path):
    code = (
        f'import os, pathlib; pathlib.Path({str(tmp_path)!r}, os.environ["RANK"]).write_text('
        f'os.environ["LOCAL_RANK"] + "/" + os.environ["WORLD_SIZE"])'
    )
    launch(partial(exec, code), 2)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {'0': '0/2', '1': '1/2'}


@pytest.mark.parametrize(
    ('latest', 'state', 'remaining'),
    [
        (None, 'not run', 1),
        ('epoch_4.pth', 'epoch 4 of 16', 0.75),
        ('epoch_16.pth', 'done', 0),
    ],
)
def test_the_progress_of_a_training_is_read_from_its_folder(small_classifier, tmp_path, latest, state, remaining):
    (tmp_path / 'epoch_16.pth').touch()  # not recorded: it may be incomplete
    if latest:
        (tmp_path / 'last_checkpoint').write_text(str(tmp_path / latest))
        write_json(tmp_path / 'provenance.json', dict(images=72))
    training = Training('train', str(small_classifier), tmp_path)
    assert (training.state, training.remaining, training.done) == (state, remaining, remaining == 0)


def test_a_training_may_count_iterations(small_classifier, tmp_path):
    options = {'train_cfg': dict(_delete_=True, type='IterBasedTrainLoop', max_iters=100)}
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_50.pth'))
    training = Training('train', str(small_classifier), tmp_path, options=options)
    assert training.checkpoint == tmp_path / 'iter_100.pth'
    assert training.state == 'iter 50 of 100'
    assert training.remaining == 0.5


@pytest.mark.parametrize(
    ('provenance', 'words'),
    [
        (None, 'checkpoints without a provenance.json'),
        (dict(images=71), ' 71 images.* 72'),
    ],
)
def test_a_training_continues_only_with_the_same_images(small_classifier, tmp_path, provenance, words):
    training = Training('train', str(small_classifier), tmp_path)
    training.check()
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_4.pth'))
    if provenance:
        write_json(tmp_path / 'provenance.json', provenance)
    with pytest.raises(UserError, match=words):
        training.check()


def test_a_training_without_provenance_is_not_done(small_classifier, tmp_path):
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_16.pth'))
    assert not Training('train', str(small_classifier), tmp_path).done


@pytest.mark.parametrize(('content', 'done'), [(None, False), ('{"coco/bbox', False), ('{"coco/bbox_mAP": 0.3}', True)])
def test_an_evaluation_is_done_when_its_metrics_are_complete(tmp_path, content, done):
    if content:
        (tmp_path / 'metrics.json').write_text(content)
        write_json(tmp_path / 'provenance.json', dict(images=24))
    assert Evaluation('test', 'config.py', tmp_path).done == done


@pytest.mark.parametrize(
    ('gpu', 'measured', 'state'),
    [(False, False, 'needs a GPU'), (True, False, 'not run'), (True, True, 'done'), (False, True, 'done')],
)
def test_speed_is_measured_once_and_only_on_a_gpu(tmp_path, monkeypatch, gpu, measured, state):
    monkeypatch.setattr('torch.cuda.is_available', lambda: gpu)
    if measured:
        write_json(tmp_path / 'speed.json', dict(images_per_second=100))
        write_json(tmp_path / 'provenance.json', dict(images=None))
    assert Speed('speed', 'config.py', tmp_path).state == state
