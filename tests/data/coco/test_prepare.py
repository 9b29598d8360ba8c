import json
import shutil

import pytest

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.config.options import DownloadOptions
from mmdet_shufflenetv2.data.coco import prepare_coco, published


def files(root):
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob('*')
        if path.is_file() and path.name != '.prepare_coco.lock'
    }


def wanted(shapes_root):
    return {name: content for name, content in files(shapes_root).items() if name != 'shapes.json'}


def test_archives_are_unpacked_to_coco_layout(coco, tmp_path, shapes_root):
    said = []
    prepare_coco(tmp_path / 'coco', base_url=coco.url, say=said.append)
    assert files(tmp_path / 'coco') == wanted(shapes_root)
    assert said[0].startswith('download: ')
    assert '12 images' in said[-1]


def test_a_second_call_downloads_nothing(coco, tmp_path):
    prepare_coco(tmp_path / 'coco', base_url=coco.url)
    before = len(coco.requests)
    prepare_coco(tmp_path / 'coco', base_url=coco.url)
    assert len(coco.requests) == before


def test_lost_connections_do_not_change_the_result(coco, tmp_path, shapes_root):
    coco.faults = {path: ['cut', 500, 'cut', 'cut'] for path in list(coco.files)}
    prepare_coco(tmp_path / 'coco', base_url=coco.url)
    assert files(tmp_path / 'coco') == wanted(shapes_root)


@pytest.mark.parametrize('given', ['zips', 'folder'])
def test_existing_files_are_not_downloaded(coco, zips, shapes_root, tmp_path, given):
    prepare_coco(tmp_path / 'coco', source=zips if given == 'zips' else shapes_root, base_url=coco.url)
    assert not coco.requests
    assert {p.name for p in (tmp_path / 'coco' / 'train2017').iterdir()} == {
        p.name for p in (shapes_root / 'train2017').iterdir()
    }
    assert len(list(zips.iterdir())) == 3  # never deleted


def test_rejects_truncated_archive(coco, zips, tmp_path):
    archive = zips / 'val2017.zip'
    archive.write_bytes(archive.read_bytes()[:-2000])
    with pytest.raises(UserError, match='not a valid zip file'):
        prepare_coco(tmp_path / 'coco', ['val2017'], source=archive, base_url=coco.url)
    assert not (tmp_path / 'coco' / 'val2017').exists()


@pytest.mark.parametrize('had', [False, True])
def test_rejected_call_creates_no_folder(coco, zips, tmp_path, had):
    root = tmp_path / 'new' / 'coco'
    if had:
        root.mkdir(parents=True)
    archive = zips / 'annotations_trainval2017.zip'
    archive.write_bytes(archive.read_bytes()[:-2000])
    with pytest.raises(UserError, match='not a valid zip file'):
        prepare_coco(root, source=zips, base_url=coco.url)
    assert root.exists() == (tmp_path / 'new').exists() == had
    assert not (root / 'annotations').exists()


@pytest.mark.parametrize('given', ['server', 'zips', 'folder', 'complete'])
def test_subset_downloads_only_its_images_and_prints_options(coco, zips, shapes_root, tmp_path, given):
    root = tmp_path / 'coco'
    if given == 'complete':
        prepare_coco(root, source=zips, base_url=coco.url)
    options = prepare_coco(
        root, subset=5, seed=1, base_url=coco.url, source=dict(zips=zips, folder=shapes_root).get(given)
    )
    ann_file, images = (root / option.split('=')[1] for option in options[1:])
    listed = {image['file_name'] for image in json.loads(ann_file.read_text())['images']}
    assert len(listed) == 5
    there = {path.name for path in images.iterdir()}
    assert there >= listed if given == 'complete' else there == listed
    assert (root / 'train2017').exists() == (given == 'complete')
    if given == 'server':
        assert '/zips/train2017.zip' not in {path for path, _ in coco.requests}


def test_too_little_disk_space_is_reported_before_the_download(coco, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: shutil._ntuple_diskusage(10, 5, 5))
    with pytest.raises(UserError, match='Free some space'):
        prepare_coco(tmp_path / 'coco', base_url=coco.url)
    assert not coco.requests
    assert not (tmp_path / 'coco').exists()


def test_unwritable_root_is_reported(coco, tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(UserError, match='cannot be written or read: .*root=DIR'):
        prepare_coco(tmp_path / 'file' / 'coco', base_url=coco.url)


def test_rejects_two_calls_at_once(coco, tmp_path):
    import fcntl

    (tmp_path / 'coco').mkdir()
    with open(tmp_path / 'coco' / '.prepare_coco.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match='Another snv2 download is running'):
            prepare_coco(tmp_path / 'coco', base_url=coco.url)


def test_folder_with_missing_images_is_not_complete(coco, tmp_path, shapes_root):
    prepare_coco(tmp_path / 'coco', base_url=coco.url)
    next((tmp_path / 'coco' / 'val2017').iterdir()).unlink()
    with pytest.raises(UserError, match='lacks 1 of 6 images'):
        prepare_coco(tmp_path / 'coco', base_url=coco.url)


def test_rejects_annotations_of_other_images(coco, shapes_root, tmp_path):
    other = shutil.copytree(shapes_root, tmp_path / 'other')
    path = other / 'annotations' / 'instances_val2017.json'
    annotations = json.loads(path.read_text())
    annotations['images'].pop()
    path.write_text(json.dumps(annotations))
    with pytest.raises(UserError, match='lists 5 images, expected 6'):
        prepare_coco(tmp_path / 'coco', ['val2017'], source=other, base_url=coco.url)


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (dict(splits=['test2017']), 'splits=test2017: expected'),
        (dict(splits=['val2017'], subset=3), '`splits` does not contain it'),
        (dict(source='nowhere'), 'no such file or folder'),
        (dict(source='empty'), 'does not contain COCO. Expected annotations_trainval2017.zip'),
        (dict(source='empty', splits=['val2017']), 'does not contain COCO'),
        (dict(subset=1000), 'subset=1000: expected 1 to 12'),
        (dict(subset=0), 'subset=0: expected 1 to 12'),
        (dict(subset=-5), 'subset=-5: expected 1 to 12'),
    ],
)
def test_invalid_arguments_are_reported_before_the_download(coco, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(UserError, match=words):
        prepare_coco(tmp_path / 'coco', **dict(base_url=coco.url) | arguments)
    assert not coco.requests


def test_constants_match_the_published_files():
    options = DownloadOptions()
    assert set(options.splits) == set(published.SPLITS)
    assert options.base_url == published.BASE_URL
