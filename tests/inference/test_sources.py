import cv2
import numpy as np
import pytest

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.inference.sources import TruncatedError, find_sources


def clip(path, frames=12, codec='MJPG'):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 10, (64, 48))
    noise = np.random.default_rng(0).integers(-9, 10, (48, 64, 3))
    for number in range(frames):
        writer.write((number * 20 + 10 + noise).astype(np.uint8))
    writer.release()
    return path


def cut(path):
    """Leave half of the frames of an .avi."""
    data = path.read_bytes()
    first = data.index(b'movi')
    path.write_bytes(data[: first + (len(data) - first) // 2])
    return path


def photo(path):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(cv2.imencode('.png', np.zeros((6, 8, 3), np.uint8))[1].tobytes())
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ('a/x.png', 'b/x.png', 'b/x_2.png', 'b/X.bmp', 'b/._x.png'):
        photo(tmp_path / name)
    (tmp_path / 'a' / 'notes.txt').write_text('no image')
    clip(tmp_path / 'a' / 'clip.avi')
    return tmp_path


def test_folders_patterns_and_files_give_each_image_and_video_once(folder):
    assert [source.given for source in find_sources(['a', 'a/x.png', 'b/x*.png'])] == [
        'a/clip.avi',
        'a/x.png',
        'b/x.png',
        'b/x_2.png',
    ]


def test_follows_links_once_and_reads_jfif(folder):
    (folder / 'a' / 'loop').symlink_to(folder, target_is_directory=True)
    (folder / 'far').symlink_to(folder / 'b', target_is_directory=True)
    (folder / 'b' / 'x_2.png').rename(folder / 'b' / 'x_2.JFIF')
    assert [source.given for source in find_sources(['far'])] == ['far/X.bmp', 'far/x.png', 'far/x_2.JFIF']
    assert [source.given for source in find_sources(['**/x*'])] == ['a/x.png', 'b/x.png', 'b/x_2.JFIF']


def test_folder_of_folders_is_an_error_with_the_pattern(folder):
    with pytest.raises(UserError, match='To include subfolders: "./[*][*]/[*]"|"[*][*]/[*]"'):
        find_sources(['.'])


def test_output_names_are_unique(folder):
    assert [source.name for source in find_sources(['a/x.png', 'b'])] == ['x', 'X_3', 'x_4', 'x_2']


@pytest.mark.parametrize(('name', 'codec'), [('c.mp4', 'mp4v'), ('c.avi', 'MJPG'), ('c.mkv', 'MJPG')])
def test_a_video_gives_its_frames_in_order(tmp_path, name, codec):
    [source] = find_sources([clip(tmp_path / name, codec=codec)])
    frames = list(source.frames())
    assert [frame.number for frame in frames] == list(range(12))
    assert [round(frame.image.mean() / 20 - 0.5) for frame in frames] == list(range(12))
    assert (source.length, source.rate) == (12, 10)


def test_truncated_video_gives_its_frames_and_a_warning(tmp_path):
    [source] = find_sources([cut(clip(tmp_path / 'c.avi'))])
    frames = []
    with pytest.raises(TruncatedError, match=r'ends after \d of 12 frames'):
        frames += iter(source.frames())
    assert 2 < len(frames) < 10


@pytest.mark.parametrize(
    ('given', 'words'),
    [
        ('nowhere.jpg', 'File or folder not found: nowhere.jpg'),
        ('nowhere/*.jpg', 'No files match the pattern'),
        ('a/notes.txt', 'neither an image nor a video'),
        ('webcam', 'expected webcam:0'),
        ('webcam:63', 'Camera webcam:63 is missing'),
        ('63', 'Camera webcam:63 is missing'),
        ('empty', 'No images or videos found in empty'),
        ('empty.mp4', 'cannot be opened'),
        ('half.mp4', 'cannot be opened'),
        ('none.avi', 'no readable frames'),
    ],
)
def test_unreadable_input_is_reported_in_one_line(folder, given, words, capfd):
    (folder / 'empty').mkdir()
    (folder / 'empty.mp4').write_bytes(b'')
    whole = clip(folder / 'whole.mp4', codec='mp4v').read_bytes()
    (folder / 'half.mp4').write_bytes(whole[: len(whole) // 2])
    header = clip(folder / 'none.avi').read_bytes()
    (folder / 'none.avi').write_bytes(header[: header.index(b'movi') + 4])
    with pytest.raises(UserError, match=words) as error:
        find_sources([given])
    assert len(str(error.value).splitlines()) == 1
    assert capfd.readouterr().err == ''  # OpenCV's and FFmpeg's own lines would stand above ours
