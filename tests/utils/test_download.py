import hashlib
import os
import re
from pathlib import Path

import pytest

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.utils.download import ATTEMPTS, download, part_of

CONTENT = os.urandom(300_000)
SIZE, MD5 = len(CONTENT), hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def fetch(bad_server, tmp_path):
    bad_server.files['/a.zip'] = CONTENT

    def call(*faults, size=SIZE):
        bad_server.faults['/a.zip'] = list(faults)
        return download(f'{bad_server.url}/a.zip', tmp_path / 'a.zip', size, MD5, bar=False)

    return call


@pytest.mark.parametrize(
    'faults',
    [
        [],
        ['cut'],
        ['cut', 'cut', 'cut'],
        [500, 503, 'cut', 500],
        ['cut', 'ranges ignored'],
        ['cut'] * (3 * ATTEMPTS),
    ],
    ids=str,
)
@pytest.mark.parametrize('size', [SIZE, None])
def test_a_download_is_complete_despite_server_errors(fetch, faults, size, tmp_path):
    assert fetch(*faults, size=size).read_bytes() == CONTENT
    assert os.listdir(tmp_path) == ['a.zip']


def test_each_failed_attempt_is_reported_with_the_next_one(bad_server, tmp_path, capsys):
    bad_server.files['/a.zip'] = CONTENT
    bad_server.faults['/a.zip'] = [503, 'cut']
    download(f'{bad_server.url}/a.zip', tmp_path / 'a.zip', SIZE, MD5)
    said = capsys.readouterr().err
    assert re.search(rf'a\.zip: .*503 Service Unavailable.*attempt 2 of {ATTEMPTS} in 0 s', said)
    assert re.search(rf'{SIZE // 2} of {SIZE} bytes.*attempt 2 of {ATTEMPTS} in 0 s', said)


def test_a_retry_resumes_after_the_received_bytes(fetch, bad_server):
    fetch('cut')
    assert [wanted for _, wanted in bad_server.requests] == [None, f'bytes={SIZE // 2}-']


def test_the_next_call_resumes_a_killed_download(fetch, bad_server, tmp_path):
    part_of(tmp_path / 'a.zip').write_bytes(CONTENT[:1234])
    assert fetch().read_bytes() == CONTENT
    assert bad_server.requests == [('/a.zip', 'bytes=1234-')]


def test_a_partial_file_longer_than_the_file_is_discarded(fetch, tmp_path):
    part_of(tmp_path / 'a.zip').write_bytes(CONTENT + b'more')
    assert fetch().read_bytes() == CONTENT


@pytest.mark.parametrize(
    ('faults', 'arguments', 'words'),
    [
        ([404], {}, '404 .*Check the address'),
        ([403], {}, '403'),
        ([500] * ATTEMPTS, {}, f'500 .*{ATTEMPTS} attempts.*try again later'),
        ([], dict(size=SIZE + 1), 'expected 300001'),
        (['corrupt'], {}, 'MD5'),
        (['web page'], {}, 'web page'),
        (['HTML'], {}, 'web page'),
        (['cut', 'web page'], {}, 'web page'),
        (['says more'], {}, '300007 bytes.* expected 300000'),
        (['says less'], {}, '299993 bytes.* expected 300000'),
    ],
)
def test_a_failed_download_is_reported_and_leaves_no_target_file(fetch, tmp_path, faults, arguments, words):
    with pytest.raises(UserError, match=words):
        fetch(*faults, **arguments)
    assert not (tmp_path / 'a.zip').exists()


def test_a_file_that_the_check_rejects_is_deleted(bad_server, tmp_path):
    bad_server.files['/a.zip'] = CONTENT

    def check(part):
        assert part.read_bytes() == CONTENT
        raise UserError('not what was wanted')

    with pytest.raises(UserError, match='/a.zip: not what was wanted'):
        download(f'{bad_server.url}/a.zip', tmp_path / 'a.zip', bar=False, check=check)
    assert not os.listdir(tmp_path)


def test_an_interrupted_download_keeps_its_partial_file(fetch, tmp_path):
    with pytest.raises(UserError, match='150000 bytes .*kept'):
        fetch('cut', *[500] * ATTEMPTS)
    assert part_of(tmp_path / 'a.zip').read_bytes() == CONTENT[:150_000]


def test_corrupt_content_is_deleted_so_that_the_next_call_starts_over(fetch):
    with pytest.raises(UserError, match='deleted'):
        fetch('corrupt')
    assert fetch().read_bytes() == CONTENT


@pytest.mark.parametrize(
    ('url', 'words'),
    [
        ('file:///etc/passwd', 'https://'),
        ('images.cocodataset.org/a.zip', 'https://'),
        ('http://127.0.0.1:1/a.zip', 'no connection'),
    ],
)
def test_invalid_addresses_are_reported(bad_server, tmp_path, url, words):
    with pytest.raises(UserError, match=words):
        download(url, Path(tmp_path / 'a.zip'), 5, bar=False)
