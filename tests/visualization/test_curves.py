import json

import numpy as np
import pytest

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.visualization import curves
from mmdet_shufflenetv2.visualization.curves import _run_names, draw_curves, plot_runs, read_scalars


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


def test_logs_of_a_resumed_run_are_joined(tmp_path):
    log(tmp_path, '20260101_000000', step(10, 3.0), step(20, 9.0))
    log(tmp_path, '20260102_000000', step(20, 2.0), step(30, 1.0))
    assert read_scalars(tmp_path)[0]['loss'] == {10: 3.0, 20: 2.0, 30: 1.0}


def test_repeated_iterations_of_a_resumed_run_are_dropped(tmp_path):
    log(tmp_path, '20260101_000000', step(10, 3.0), step(20, 9.0), {'coco/bbox_mAP_50': 0.5, 'step': 1}, step(30, 9.0))
    log(tmp_path, '20260102_000000', step(15, 2.0), step(25, 1.0))
    train, val = read_scalars(tmp_path)
    assert train['loss'] == {10: 3.0, 15: 2.0, 25: 1.0}
    assert val['coco/bbox_mAP_50'] == {}


@pytest.mark.parametrize(
    'incomplete', ['{"lr": 0.1, "loss": 2.', '\0\0\0\n', '{"lr": 0.1, "lo{"lr": 0.1, "loss": 2.0}\n']
)
def test_an_incomplete_line_of_a_killed_run_is_skipped(tmp_path, incomplete):
    log(tmp_path, '20260101_000000', step(10, 3.0))
    with (tmp_path / '20260101_000000' / 'vis_data' / 'scalars.json').open('a') as file:
        file.write(incomplete)
    log(tmp_path, '20260102_000000', step(20, 1.0))
    assert read_scalars(tmp_path)[0]['loss'] == {10: 3.0, 20: 1.0}
    assert plot_runs([tmp_path]).is_file()


def test_figure_is_drawn_with_and_without_an_evaluation(tmp_path):
    from PIL import Image

    log(tmp_path, '1', step(10, 3.0), step(20, 2.0))
    assert Image.open(draw_curves(tmp_path)).size[0] > 800
    log(tmp_path, '2', step(30, 1.0), {'coco/bbox_mAP_50': 0.5, 'coco/bbox_mAP': 0.3, 'step': 1})
    assert draw_curves(tmp_path) == tmp_path / 'curves.png'


@pytest.mark.parametrize('runs', [1, 2])
def test_single_point_is_visible(tmp_path, runs):
    from PIL import Image

    for number in range(runs):
        log(tmp_path / str(number), '1', dict(lr=0.1, loss=3.0, epoch=1, iter=10, step=10))
    image = np.asarray(Image.open(plot_runs([tmp_path / str(number) for number in range(runs)], tmp_path / 'x.png')))
    panels = image[: len(image) * 3 // 4, :, :3]  # the names of several runs are below them
    color = (31, 119, 180) if runs == 1 else (255, 127, 14)  # the last run lies on top
    assert (panels == color).all(axis=-1).sum() > 20


def test_empty_log_gives_no_figure(tmp_path):
    assert draw_curves(tmp_path) is None
    assert not (tmp_path / 'curves.png').exists()


def test_several_runs_share_the_axes(tmp_path):
    from PIL import Image

    for name in ('a', 'b'):
        log(
            tmp_path / name,
            '1',
            *(step(10 * at, 3 / at) for at in range(1, 90)),
            {'coco/bbox_mAP_50': 0.5, 'coco/bbox_mAP': 0.3, 'step': 1},
        )
    assert plot_runs([tmp_path / 'a', tmp_path / 'b'], tmp_path / 'both.png') == tmp_path / 'both.png'
    both, one = Image.open(tmp_path / 'both.png'), Image.open(plot_runs([tmp_path / 'a']))
    assert both.size == one.size
    colors = {color for _, color in both.convert('RGB').getcolors(1 << 20)}
    assert {(31, 119, 180), (255, 127, 14)} <= colors  # matplotlib's first two, a run each


@pytest.mark.parametrize(
    ('paths', 'expected'),
    [
        (['work_dirs/a', 'work_dirs/b'], ['a', 'b']),
        (['x/run', 'y/run'], ['x/run', 'y/run']),
        (['x/run', 'x/run'], ['run', 'run']),
    ],
)
def test_runs_are_labeled_by_their_differences(paths, expected):
    assert _run_names(paths) == expected


@pytest.mark.parametrize(
    ('runs', 'out', 'words'),
    [
        (['nowhere'], None, 'Folder not found: nowhere. Expected the work dir of a run, such as work_dirs/real'),
        (['empty'], None, 'empty has no training log'),
        (['work_dirs'], None, 'Did you mean work_dirs/real'),
        (['work_dirs/real/1'], None, 'Did you mean work_dirs/real'),
        (['work_dirs/real', 'empty'], None, 'empty has no training log'),
        (['work_dirs/real'], 'x.txt', 'out=x.txt has an unknown suffix'),
        (['work_dirs/real'], 'nowhere/x.png', 'out=nowhere/x.png: folder not found'),
    ],
)
def test_invalid_run_is_reported_with_a_valid_one(tmp_path, monkeypatch, runs, out, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'empty').mkdir()
    log(tmp_path / 'work_dirs' / 'real', '1', step(10, 3.0))
    with pytest.raises(UserError, match=words):
        plot_runs(runs, out)


@pytest.fixture
def figures(monkeypatch):
    """The figures that are saved, by the names of their files."""
    saved = {}
    monkeypatch.setattr(curves, '_save', lambda figure, path: saved.setdefault(path.name, figure) and path)
    return saved


def lines(figure):
    return {line.get_label(): dict(zip(line.get_xdata(), line.get_ydata())) for line in figure.axes[0].get_lines()}


def evaluated(epoch, **classes):
    return {
        **{f'coco/{name}_precision': ap for name, ap in classes.items()},
        'coco/bbox_mAP': 0.3,
        'val_loss': 1 / epoch,
        'step': epoch,
    }


def test_each_class_has_a_line_from_the_best_to_the_worst(tmp_path, figures):
    log(
        tmp_path,
        '1',
        step(10, 3.0),
        evaluated(1, cat=0.1, big_dog=0.2, ghost=float('nan')),
        step(20, 2.0),
        evaluated(2, cat=0.4, big_dog=0.3, ghost=float('nan')),
    )
    draw_curves(tmp_path)
    assert lines(figures['class_curves.png']) == {'0.400 cat': {10: 0.1, 20: 0.4}, '0.300 big_dog': {10: 0.2, 20: 0.3}}
    assert lines(figures['curves.png'])['val_loss'] == {10: 1.0, 20: 0.5}


def test_only_the_lowest_of_many_classes_are_drawn(tmp_path, figures):
    classes = {f'c{number}': number / 100 for number in range(80)}
    log(tmp_path, '1', step(10, 3.0), evaluated(1, **classes), step(20, 2.0), evaluated(2, **classes))
    draw_curves(tmp_path)
    assert [label.split()[1] for label in lines(figures['class_curves.png'])] == [f'c{n}' for n in range(19, -1, -1)]
    assert '20 lowest of 80' in figures['class_curves.png'].axes[0].get_title()


def test_single_evaluation_gives_no_class_curves(tmp_path, figures):
    log(tmp_path, '1', step(10, 3.0), evaluated(1, cat=0.1))
    draw_curves(tmp_path)
    assert list(figures) == ['curves.png']
