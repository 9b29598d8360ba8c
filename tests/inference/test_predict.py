import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from test_sources import clip, cut, photo
from tiny_graph import write

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.inference.predict import predict, split_arguments
from mmdet_shufflenetv2.inference.savers import YoloSaver


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a detector that finds a dog as large as the image, score 0.75, in each of its inputs."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / 'd.onnx')
    photo(tmp_path / 'a' / 'x.png')
    photo(tmp_path / 'b' / 'x.png')
    clip(tmp_path / 'clip.avi', frames=5)
    return tmp_path


@pytest.mark.parametrize(
    ('arguments', 'expected'),
    [
        (['c.py', 'w.pth', 'i.jpg'], ('c.py', 'w.pth', ['i.jpg'])),
        (['w.ckpt', 'i.jpg', 'j'], (None, 'w.ckpt', ['i.jpg', 'j'])),
        (['d.onnx', 'i.jpg'], ('d.onnx', None, ['i.jpg'])),
    ],
)
def test_accepts_three_forms_of_the_command_line(arguments, expected):
    assert split_arguments(arguments) == expected


@pytest.mark.parametrize('arguments', [['c.py', 'w.pth'], ['d.onnx'], ['w.pth'], ['c.py']])
def test_rejects_command_line_without_inputs(arguments):
    with pytest.raises(UserError, match='CONFIG CHECKPOINT INPUT.*before `classes`'):
        split_arguments(arguments)


def test_every_format_has_every_frame(here):
    done = predict('d.onnx', None, ['a', 'b', 'clip.avi'], 'out', save=['coco', 'yolo', 'csv'], batch_size=3)
    assert (done.frames, done.stopped) == (7, False)
    assert all(path.exists() for path in done.written)
    results = json.loads((here / 'out' / 'results.json').read_text())
    assert [(r['image_id'], r['file_name'], r.get('frame'), r['category_id'], r['bbox']) for r in results] == [
        (1, 'x.png', None, 2, [0, 0, 8, 6]),
        (2, 'x.png', None, 2, [0, 0, 8, 6]),
        *((3 + n, 'clip.avi', n, 2, [0, 0, 64, 48]) for n in range(5)),
    ]
    rows = list(csv.DictReader((here / 'out' / 'results.csv').open()))
    assert [(row['source'], row['frame'], row['class'], float(row['x2'])) for row in rows[1:3]] == [
        ('b/x.png', '0', 'dog', 8),
        ('clip.avi', '0', 'dog', 64),
    ]
    labels = here / 'out' / 'yolo' / 'labels'
    assert sorted(str(file.relative_to(labels)) for file in labels.rglob('*.txt')) == [
        *(f'clip/{n:06d}.txt' for n in range(5)),
        'x.txt',
        'x_2.txt',
    ]
    assert [float(value) for value in (labels / 'x_2.txt').read_text().split()] == [1, 0.5, 0.5, 1, 1, 0.75]
    assert (here / 'out' / 'yolo' / 'classes.txt').read_text() == 'cat\ndog\n'


def test_images_and_videos_are_drawn(here):
    predict('d.onnx', None, ['a', 'clip.avi'], 'out')
    assert cv2.imread('out/vis/x.png').any()  # the input is black
    capture = cv2.VideoCapture('out/vis/clip.mp4')
    assert (capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)) == (5, 10)
    assert capture.read()[1].shape == (48, 64, 3)


@pytest.mark.parametrize(
    ('options', 'count'),
    [(dict(score_thr=0.8), 0), (dict(score_thr=0.7), 1), (dict(classes=['dog']), 1), (dict(classes=['cat']), 0)],
)
def test_threshold_and_classes_filter_results(here, options, count):
    predict('d.onnx', None, ['a'], 'out', save=['csv', 'coco'], **options)
    assert len((here / 'out' / 'results.csv').read_text().splitlines()) == 1 + count
    # COCO's evaluation wants what is below the threshold too.
    assert len(json.loads((here / 'out' / 'results.json').read_text())) == (options.get('classes') != ['cat'])


def test_detections_of_tiles_and_flips_are_merged(here):
    predict('d.onnx', None, ['clip.avi'], 'out', tiles=32, overlap=0.5, tta=True, batch_size=4)
    results = json.loads((here / 'out' / 'results.json').read_text())
    assert [result['bbox'] for result in results] == [[0, 0, 64, 48]] * 5


def test_tracked_object_has_one_id_in_every_result(here):
    pytest.importorskip('trackers')
    predict('d.onnx', None, ['clip.avi', 'a'], 'out', save=['coco', 'yolo', 'csv'], track=True, classes=['dog'])
    results = json.loads((here / 'out' / 'results.json').read_text())
    assert [result.get('track_id') for result in results] == [None, 0, 0, 0, 0, None]  # the last one is an image
    rows = list(csv.DictReader((here / 'out' / 'results.csv').open()))
    assert [row['track_id'] for row in rows] == ['', '0', '0', '0', '0', '']
    assert (here / 'out' / 'yolo' / 'labels' / 'clip' / '000001.txt').read_text() == '1 0.5 0.5 1 1 0.75 0\n'


@pytest.mark.parametrize(
    ('options', 'count'),
    [(dict(region=(0, 0, 8, 6)), 1), (dict(region=(0, 0, 3, 3)), 0), (dict(min_size=9), 0), (dict(max_size=8), 1)],
)
def test_region_and_sizes_filter_results(here, options, count):
    predict('d.onnx', None, ['a'], 'out', **options)
    assert len(json.loads((here / 'out' / 'results.json').read_text())) == count


def test_a_region_is_drawn(here):
    predict('d.onnx', None, ['clip.avi'], 'out', score_thr=1, region=(16, 12, 48, 36))
    drawn = cv2.VideoCapture('out/vis/clip.mp4').read()[1]
    assert drawn[12, 16:48].min() > 150 > drawn[20:28, 24:40].max()


def test_input_is_never_overwritten(here):
    predict('d.onnx', None, ['a'], 'out')
    before = (here / 'out' / 'vis' / 'x.png').read_bytes()
    (here / 'link').symlink_to(here / 'out')
    for out_dir in ('out', 'link'):
        with pytest.raises(UserError, match='would overwrite the input'):
            predict('d.onnx', None, ['out/vis'], out_dir)
    assert (here / 'out' / 'vis' / 'x.png').read_bytes() == before


def test_truncated_video_does_not_stop_the_others(here):
    cut(clip(here / 'cut.avi'))
    with pytest.raises(UserError, match='cut.avi is truncated.*are in out'):
        predict('d.onnx', None, ['cut.avi', 'a'], 'out')
    assert {r['file_name'] for r in json.loads((here / 'out' / 'results.json').read_text())} == {'cut.avi', 'x.png'}


class Camera:
    """A camera with three black frames, then Ctrl-C; the first of two opens only checks that it exists."""

    def __init__(self, place):
        assert place == 0
        self.left = 3

    def isOpened(self):  # noqa: N802 - OpenCV's name
        return True

    def get(self, what):
        return 0.0

    def read(self):
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        return True, np.zeros((48, 64, 3), np.uint8)

    def release(self):
        pass


def test_camera_runs_until_ctrl_c_and_files_are_complete(here, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(cv2, 'VideoCapture', Camera)
        done = predict('d.onnx', None, ['webcam:0'], 'out')
    assert (done.frames, done.stopped) == (3, True)
    assert len(json.loads((here / 'out' / 'results.json').read_text())) == 3
    assert cv2.VideoCapture('out/vis/webcam0.mp4').get(cv2.CAP_PROP_FRAME_COUNT) == 3


def test_failed_run_keeps_earlier_results(here, monkeypatch):
    predict('d.onnx', None, ['clip.avi'], 'out', save=['coco', 'csv'])
    before = {path: path.read_bytes() for path in (here / 'out').rglob('*') if path.is_file()}

    def fails(*_):
        raise RuntimeError('in the second frame')

    monkeypatch.setattr(YoloSaver, 'write', fails)
    with pytest.raises(RuntimeError, match='in the second frame'):
        predict('d.onnx', None, ['clip.avi'], 'out', save=['coco', 'csv', 'yolo'])
    after = {path: path.read_bytes() for path in (here / 'out').rglob('*') if path.is_file()}
    assert after == before | {here / 'out' / 'yolo' / 'classes.txt': b'cat\ndog\n'}


def test_run_that_cannot_start_writes_nothing(here):
    (here / 'out' / 'results.csv').mkdir(parents=True)
    with pytest.raises(UserError, match='results.csv'):
        predict('d.onnx', None, ['a'], 'out', save=['coco', 'csv'])
    assert [path.name for path in (here / 'out').rglob('*') if path.is_file()] == []


@pytest.mark.parametrize(
    'name', ['results.json', 'results.csv', 'vis/x.png', 'vis/clip.mp4', 'yolo/classes.txt', 'yolo/labels/x.txt']
)
def test_folder_with_the_name_of_an_output_is_reported(here, name):
    (here / 'out' / name).mkdir(parents=True)
    with pytest.raises(UserError, match=f'out_dir=out cannot be written: Is a directory .*{name}') as error:
        predict('d.onnx', None, ['a', 'clip.avi'], 'out', save=['coco', 'yolo', 'csv'])
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize('name', ['vis', 'yolo', 'yolo/labels', 'yolo/labels/clip'])
def test_file_with_the_name_of_an_output_folder_is_reported(here, name):
    (here / 'out' / name).parent.mkdir(parents=True, exist_ok=True)
    (here / 'out' / name).write_text('mine')
    with pytest.raises(UserError, match=f'out_dir=out cannot be written: (File exists|Not a directory) .*{name}'):
        predict('d.onnx', None, ['a', 'clip.avi'], 'out', save=['yolo'])


@pytest.mark.skipif(not Path('/dev/full').exists(), reason='needs /dev/full, a disk that is full')
@pytest.mark.parametrize('frames', [1, 400])  # it is full when the file is closed, and before
def test_full_disk_is_reported(here, monkeypatch, frames):
    photo(here / 'many' / '0.png')
    for number in range(1, frames):
        shutil.copy(here / 'many' / '0.png', here / 'many' / f'{number}.png')
    opened = Path.open
    monkeypatch.setattr(
        Path,
        'open',
        lambda path, *args, **given: opened(Path('/dev/full') if path.suffix == '.csv' else path, *args, **given),
    )
    with pytest.raises(UserError, match='out_dir=out cannot be written: No space left on device'):
        predict('d.onnx', None, ['many'], 'out', save=['csv'])


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(save=['xml']), 'save=xml is unknown: expected one or more of coco, yolo, csv'),
        (dict(score_thr=30), 'score_thr=30'),
        (dict(batch_size=0), 'batch_size=0'),
        (dict(tiles=3), 'tiles=3'),
        (dict(region=(1, 2, 3)), 'region=1 2 3'),
        (dict(min_size=-1), 'min_size=-1'),
        (dict(min_size=9, max_size=5), 'min_size=9 is larger than max_size=5'),
        (dict(track=True), 'all inputs are images'),
        (dict(overlap=0.3), 'Add their side in pixels: tiles=640'),
        (dict(classes=['dogs']), "classes='dogs': unknown class. Did you mean 'dog'. The classes are cat, dog"),
        (dict(device='cuda:0'), 'Remove `device`'),
        (dict(out_dir='d.onnx'), 'out_dir=d.onnx cannot be written'),
    ],
)
def test_invalid_options_are_reported_first(here, options, words):
    with pytest.raises(UserError, match=words):
        predict('d.onnx', None, ['a'], **dict(out_dir='out') | options)
    assert not (here / 'out' / 'results.json').exists()
