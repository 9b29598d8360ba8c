"""Atomic writing of files."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import mmengine
import numpy as np
import pytest

from mmdet_shufflenetv2.training.fault_tolerance.checkpoint_hook import AtomicBackend
from mmdet_shufflenetv2.utils import files
from mmdet_shufflenetv2.utils.files import (
    remove_leftovers,
    unfinished_file,
    unfinished_files,
    unfinished_folder,
    write_atomically,
    write_json,
)


def test_a_file_is_replaced_without_leftovers(tmp_path):
    path = tmp_path / 'x'
    for content in (b'one', b'two'):
        AtomicBackend().put(content, str(path))
        assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ['x']


def reject(constant):
    raise ValueError(constant)


@pytest.mark.parametrize(
    'write', [write_json, lambda path, content: mmengine.dump(content, path)], ids=['ours', "MMEngine's"]
)
def test_non_finite_numbers_are_null_in_json(tmp_path, write):
    content = dict(ap=float('nan'), loss=[1.5, float('inf'), (np.float32('nan'),)], table=np.array([0.5, -np.inf]))
    write(tmp_path / 'x.json', content)
    read = json.loads((tmp_path / 'x.json').read_text(), parse_constant=reject)
    assert read == dict(ap=None, loss=[1.5, None, [None]], table=[0.5, None])


@pytest.mark.parametrize('fails', ['fsync', 'replace'])
def test_a_failure_leaves_the_old_file_unchanged(tmp_path, monkeypatch, fails):
    path = tmp_path / 'x'
    write_atomically(path, b'old')

    def full(*args):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(os, fails, full)
    with pytest.raises(OSError, match='No space'):
        write_atomically(path, b'new')
    assert path.read_bytes() == b'old'
    assert os.listdir(tmp_path) == ['x']


def interrupted_file(path):
    with unfinished_file(path) as unfinished, unfinished.open('w') as file:
        file.write('new')
        raise KeyboardInterrupt


def interrupted_folder(path):
    with unfinished_folder(path) as unfinished:
        (unfinished / 'new').touch()
        raise KeyboardInterrupt


@pytest.mark.parametrize('write', [interrupted_file, interrupted_folder])
@pytest.mark.parametrize('exists', [True, False], ids=['existing', 'new'])
def test_an_interrupted_write_leaves_the_old_content_and_nothing_else(tmp_path, write, exists):
    if exists:
        (tmp_path / 'x.csv').write_text('old')
    with suppress(KeyboardInterrupt):
        write(tmp_path / 'x.csv')
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == ({'x.csv': 'old'} if exists else {})


def test_a_stream_appears_under_its_name_when_it_is_complete(tmp_path):
    path = tmp_path / 'x.csv'
    with unfinished_file(path) as unfinished:
        assert unfinished.suffix == '.csv'
        unfinished.write_text('complete')
        assert not path.exists()
    assert path.read_text() == 'complete'
    assert os.listdir(tmp_path) == ['x.csv']


def test_a_folder_appears_under_its_name_when_it_is_complete(tmp_path):
    (tmp_path / '.x.unfinished').mkdir()  # left by a killed process
    with unfinished_folder(tmp_path / 'x', exclusive=True) as unfinished:
        (unfinished / 'a').touch()
        assert not (tmp_path / 'x').exists()
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob('*'))] == ['x', 'x/a']


# Files that may be incomplete: they are appended to or resumed, or are inside an unfinished file or folder.
DIRECT_WRITERS = {
    'cli/errors.py',
    'data/coco/prepare.py',
    'data/coco/unpack.py',
    'data/conversion/to_voc.py',
    'data/conversion/to_yolo.py',
    'data/shapes.py',
    'deploy/ncnn_int8.py',
    'deploy/targets/ncnn.py',
    'deploy/targets/web.py',
    'deploy/tflite.py',
    'inference/label_savers.py',
    'inference/savers.py',
    'models/step_memory.py',
    'profiling/benchmark/memory.py',
    'training/fault_tolerance/broken_images.py',
    'utils/download.py',
    'utils/files.py',
}


def test_every_other_file_is_written_by_this_module():
    package = Path(files.__file__).parents[1]
    direct = re.compile(r"\.write_(text|bytes)\(|open\([^)\n]*'[wax]b?\+?'|os\.(replace|rename)\(|imwrite\(")
    assert {
        str(path.relative_to(package)) for path in package.rglob('*.py') if direct.search(path.read_text())
    } <= DIRECT_WRITERS


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_the_old_file_or_the_new_one(tmp_path):
    path = tmp_path / 'x'
    write_atomically(path, b'a' * 2**20)
    code = f"""
from mmdet_shufflenetv2.utils.files import write_atomically
print('go', flush=True)
while True:
    for letter in b'bcd':
        write_atomically({str(path)!r}, bytes([letter]) * 2**20)
"""
    process = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE)
    process.stdout.readline()
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    content = path.read_bytes()
    assert len(content) == 2**20
    assert len(set(content)) == 1
    remove_leftovers(tmp_path)
    assert os.listdir(tmp_path) == ['x']


def test_additional_files_are_moved_together_or_not_at_all(tmp_path):
    with unfinished_files(tmp_path / 'd.xml') as path:
        path.write_text('graph')
        path.with_suffix('.bin').write_text('weights')
        assert not (tmp_path / 'd.bin').exists()
    with pytest.raises(FileNotFoundError), unfinished_files(tmp_path / 'd.xml') as path:
        (path.with_suffix('.bin').write_text('others'), path.read_text())
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {'d.xml': 'graph', 'd.bin': 'weights'}
