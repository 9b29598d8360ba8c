import os
import stat
import zipfile

import pytest

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.data.coco.unpack import unpack


def make(path, members, **how):
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content, **how)
    return path


def test_wanted_members_are_unpacked_without_their_folders(tmp_path):
    archive = make(tmp_path / 'a.zip', {'val/1.jpg': b'one', 'val/2.jpg': b'two', 'val/readme.txt': b'no'})
    assert unpack(archive, tmp_path / 'out', lambda name: name.endswith('.jpg'), 100) == ['1.jpg', '2.jpg']
    assert {path.name: path.read_bytes() for path in (tmp_path / 'out').iterdir()} == {'1.jpg': b'one', '2.jpg': b'two'}


def link(path):
    with zipfile.ZipFile(path, 'w') as archive:
        entry = zipfile.ZipInfo('val/1.jpg')
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, '/etc/passwd')
    return path


def corrupt(path):
    make(path, {'val/1.jpg': os.urandom(5000)})
    path.write_bytes(path.read_bytes()[:3000])
    return path


def wrong_byte(path):
    make(path, {'val/1.jpg': os.urandom(5000)})
    content = bytearray(path.read_bytes())
    content[2000] ^= 1
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ('archive', 'words'),
    [
        (lambda path: make(path, {'../evil.jpg': b'x'}), 'a path outside the folder'),
        (lambda path: make(path, {'/etc/evil.jpg': b'x'}), 'a path outside the folder'),
        (lambda path: make(path, {'val/..\\..\\evil.jpg': b'x'}), 'a path outside the folder'),
        (link, 'a path outside the folder'),
        (lambda path: make(path, {f'val/{n}.jpg': bytes(10**6) for n in range(20)}), 'would unpack to 20000000 bytes'),
        (corrupt, 'not a valid zip file'),
        (wrong_byte, 'not a valid zip file'),
        (lambda path: make(path, {'val/readme.txt': b'x'}), 'does not contain the expected files'),
        (lambda path: make(path, {'a/1.jpg': b'x', 'b/1.jpg': b'y'}), 'exists already'),
    ],
)
def test_rejected_archive_leaves_no_files(tmp_path, archive, words):
    path = archive(tmp_path / 'a.zip')
    with pytest.raises(UserError, match=words):
        unpack(path, tmp_path / 'sub' / 'out', lambda name: name.endswith('.jpg'), 10**6)
    assert sorted(p.name for p in tmp_path.rglob('*')) in (['a.zip'], ['a.zip', 'sub'])
