import json

from mmdet_shufflenetv2.engine.curves import draw_curves, read_scalars


def log(folder, name, *lines):
    path = folder / name / 'vis_data'
    path.mkdir(parents=True)
    (path / 'scalars.json').write_text(''.join(json.dumps(line) + '\n' for line in lines))


def step(iteration, loss):
    return dict(lr=0.1 / iteration, loss=loss, loss_cls=loss / 2, epoch=1, iter=iteration, step=iteration)


def test_a_validation_belongs_to_the_iteration_before_it(tmp_path):
    log(tmp_path, '1', step(10, 3.0), step(20, 2.0), {'coco/bbox_mAP_50': 0.5, 'step': 1}, step(30, 1.0))
    train, val = read_scalars(tmp_path)
    assert train['loss'] == {10: 3.0, 20: 2.0, 30: 1.0}
    assert val['coco/bbox_mAP_50'] == {20: 0.5}


def test_a_resumed_runs_logs_are_joined_and_the_newer_counts(tmp_path):
    log(tmp_path, '20260101_000000', step(10, 3.0), step(20, 9.0))
    log(tmp_path, '20260102_000000', step(20, 2.0), step(30, 1.0))
    assert read_scalars(tmp_path)[0]['loss'] == {10: 3.0, 20: 2.0, 30: 1.0}


def test_a_picture_is_drawn_with_and_without_an_evaluation(tmp_path):
    from PIL import Image
    log(tmp_path, '1', step(10, 3.0), step(20, 2.0))
    assert Image.open(draw_curves(tmp_path)).size[0] > 800
    log(tmp_path, '2', step(30, 1.0), {'coco/bbox_mAP_50': 0.5, 'coco/bbox_mAP': 0.3, 'step': 1})
    assert draw_curves(tmp_path) == tmp_path / 'curves.png'


def test_nothing_is_drawn_where_nothing_was_logged(tmp_path):
    assert draw_curves(tmp_path) is None
    assert not (tmp_path / 'curves.png').exists()
