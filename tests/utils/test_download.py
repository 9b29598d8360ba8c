import hashlib
import os
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


@pytest.mark.parametrize('faults', [
    [], ['cut'], ['cut', 'cut', 'cut'], [500, 503, 'cut', 500], ['cut', 'ranges ignored'],
    ['cut'] * (3 * ATTEMPTS),
], ids=str)
@pytest.mark.parametrize('size', [SIZE, None])
def test_a_file_arrives_whole_whatever_the_server_does_on_the_way(fetch, faults, size, tmp_path):
    assert fetch(*faults, size=size).read_bytes() == CONTENT
    assert os.listdir(tmp_path) == ['a.zip']


def test_it_says_that_it_tries_again_and_when(bad_server, tmp_path, capsys):
    bad_server.files['/a.zip'] = CONTENT
    bad_server.faults['/a.zip'] = [503, 'cut']
    download(f'{bad_server.url}/a.zip', tmp_path / 'a.zip', SIZE, MD5)
    said = capsys.readouterr().err
    assert f'a.zip: the server answers 503 Service Unavailable; attempt 2 of {ATTEMPTS} in 0 s' in said
    assert f'the connection was cut after {SIZE // 2} of {SIZE} bytes; attempt 2 of {ATTEMPTS} in 0 s' in said


def test_a_cut_download_goes_on_where_it_ended(fetch, bad_server):
    fetch('cut')
    assert [wanted for _, wanted in bad_server.requests] == [None, f'bytes={SIZE // 2}-']


def test_the_next_call_goes_on_where_a_killed_one_ended(fetch, bad_server, tmp_path):
    part_of(tmp_path / 'a.zip').write_bytes(CONTENT[:1234])
    assert fetch().read_bytes() == CONTENT
    assert bad_server.requests == [('/a.zip', 'bytes=1234-')]


def test_a_part_that_is_longer_than_the_file_is_begun_anew(fetch, tmp_path):
    part_of(tmp_path / 'a.zip').write_bytes(CONTENT + b'more')
    assert fetch().read_bytes() == CONTENT


@pytest.mark.parametrize(('faults', 'arguments', 'words'), [
    ([404], {}, 'answers 404 .*Check the address'),
    ([403], {}, 'answers 403'),
    ([500] * ATTEMPTS, {}, 'answers 500 .*attempts in a row.*call it again later'),
    ([], dict(size=SIZE + 1), 'expected 300001'),
    (['torn'], {}, 'has the MD5 sum .* published is'),
    (['web page'], {}, 'a web page in place of the file'),
    (['HTML'], {}, 'a web page in place of the file'),
    (['cut', 'web page'], {}, 'a web page in place of the file'),
    (['says more'], {}, 'has 300007 bytes on this server, expected 300000'),
    (['says less'], {}, 'has 299993 bytes on this server, expected 300000'),
])
def test_what_cannot_be_fetched_is_said_and_gets_no_name(fetch, tmp_path, faults, arguments, words):
    with pytest.raises(UserError, match=words):
        fetch(*faults, **arguments)
    assert not (tmp_path / 'a.zip').exists()


def test_what_the_caller_refuses_is_deleted_and_gets_no_name(bad_server, tmp_path):
    bad_server.files['/a.zip'] = CONTENT

    def check(part):
        assert part.read_bytes() == CONTENT
        raise UserError('not what was wanted')

    with pytest.raises(UserError, match='/a.zip: not what was wanted'):
        download(f'{bad_server.url}/a.zip', tmp_path / 'a.zip', bar=False, check=check)
    assert not os.listdir(tmp_path)


def test_an_interrupted_download_keeps_its_part(fetch, tmp_path):
    with pytest.raises(UserError, match='150000 bytes are kept'):
        fetch('cut', *[500] * ATTEMPTS)
    assert part_of(tmp_path / 'a.zip').read_bytes() == CONTENT[:150_000]


def test_torn_content_is_deleted_so_that_the_next_call_starts_anew(fetch):
    with pytest.raises(UserError, match='It was deleted'):
        fetch('torn')
    assert fetch().read_bytes() == CONTENT


@pytest.mark.parametrize(('url', 'words'), [
    ('file:///etc/passwd', 'is no address'), ('images.cocodataset.org/a.zip', 'is no address'),
    ('http://127.0.0.1:1/a.zip', 'no connection'),
])
def test_bad_addresses(bad_server, tmp_path, url, words):
    with pytest.raises(UserError, match=words):
        download(url, Path(tmp_path / 'a.zip'), 5, bar=False)
