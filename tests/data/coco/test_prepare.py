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


def test_the_archives_become_cocos_layout_and_nothing_else(coco, tmp_path, shapes_root):
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


def test_cut_connections_change_nothing(coco, tmp_path, shapes_root):
    coco.faults = {path: ['cut', 500, 'cut', 'cut'] for path in list(coco.files)}
    prepare_coco(tmp_path / 'coco', base_url=coco.url)
    assert files(tmp_path / 'coco') == wanted(shapes_root)


@pytest.mark.parametrize('given', ['zips', 'folder'])
def test_what_the_user_has_is_not_downloaded(coco, zips, shapes_root, tmp_path, given):
    prepare_coco(tmp_path / 'coco', source=zips if given == 'zips' else shapes_root, base_url=coco.url)
    assert not coco.requests
    assert {p.name for p in (tmp_path / 'coco' / 'train2017').iterdir()} == {
        p.name for p in (shapes_root / 'train2017').iterdir()
    }
    assert len(list(zips.iterdir())) == 3  # never deleted


def test_a_torn_archive_of_the_user_is_refused(coco, zips, tmp_path):
    archive = zips / 'val2017.zip'
    archive.write_bytes(archive.read_bytes()[:-2000])
    with pytest.raises(UserError, match='not a valid zip file'):
        prepare_coco(tmp_path / 'coco', ['val2017'], source=archive, base_url=coco.url)
    assert not (tmp_path / 'coco' / 'val2017').exists()


@pytest.mark.parametrize('had', [False, True])
def test_a_refused_call_leaves_no_folder_that_was_not_there(coco, zips, tmp_path, had):
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
def test_a_subset_brings_its_images_alone_and_the_options_that_use_them(coco, zips, shapes_root, tmp_path, given):
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


def test_a_disk_that_is_too_small_is_refused_before_anything_is_fetched(coco, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: shutil._ntuple_diskusage(10, 5, 5))
    with pytest.raises(UserError, match='Free some space'):
        prepare_coco(tmp_path / 'coco', base_url=coco.url)
    assert not coco.requests
    assert not (tmp_path / 'coco').exists()


def test_a_root_that_cannot_be_written_is_said(coco, tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(UserError, match='cannot be written or read: .*root=DIR'):
        prepare_coco(tmp_path / 'file' / 'coco', base_url=coco.url)


def test_two_at_once_are_refused(coco, tmp_path):
    import fcntl

    (tmp_path / 'coco').mkdir()
    with open(tmp_path / 'coco' / '.prepare_coco.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match='Another snv2 download is running'):
            prepare_coco(tmp_path / 'coco', base_url=coco.url)


def test_a_folder_that_lacks_images_is_not_taken_for_complete(coco, tmp_path, shapes_root):
    prepare_coco(tmp_path / 'coco', base_url=coco.url)
    next((tmp_path / 'coco' / 'val2017').iterdir()).unlink()
    with pytest.raises(UserError, match='lacks 1 of 6 images'):
        prepare_coco(tmp_path / 'coco', base_url=coco.url)


def test_annotations_of_another_number_of_images_are_refused(coco, shapes_root, tmp_path):
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
def test_mistakes_are_said_before_anything_is_fetched(coco, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(UserError, match=words):
        prepare_coco(tmp_path / 'coco', **dict(base_url=coco.url) | arguments)
    assert not coco.requests


def test_the_options_have_what_is_published():
    options = DownloadOptions()
    assert set(options.splits) == set(published.SPLITS)
    assert options.base_url == published.BASE_URL
