"""Files that are there whole or not at all."""

import errno
import json
import os
import signal
import subprocess
import sys
import time

import mmengine
import numpy as np
import pytest

from mmdet_shufflenetv2.training.fault_tolerance.atomic_backend import AtomicBackend
from mmdet_shufflenetv2.utils.files import remove_leftovers, write_atomically, write_json


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path):
    path = tmp_path / 'x'
    for content in (b'one', b'two'):
        AtomicBackend().put(content, str(path))
        assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ['x']


def refuse(constant):
    raise ValueError(constant)


@pytest.mark.parametrize('write', [write_json, lambda path, content: mmengine.dump(content, path)],
                         ids=['ours', "MMEngine's"])
def test_what_is_not_finite_is_null_in_json(tmp_path, write):
    content = dict(ap=float('nan'), loss=[1.5, float('inf'), (np.float32('nan'), )], table=np.array([0.5, -np.inf]))
    write(tmp_path / 'x.json', content)
    read = json.loads((tmp_path / 'x.json').read_text(), parse_constant=refuse)
    assert read == dict(ap=None, loss=[1.5, None, [None]], table=[0.5, None])


@pytest.mark.parametrize('fails', ['fsync', 'replace'])
def test_a_failure_leaves_the_file_as_it_was(tmp_path, monkeypatch, fails):
    path = tmp_path / 'x'
    write_atomically(path, b'old')

    def full(*args):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(os, fails, full)
    with pytest.raises(OSError, match='No space'):
        write_atomically(path, b'new')
    assert path.read_bytes() == b'old'
    assert os.listdir(tmp_path) == ['x']


def test_a_kill_at_any_moment_leaves_the_old_file_or_the_new_one(tmp_path):
    path = tmp_path / 'x'
    write_atomically(path, b'a' * 2**20)
    code = f'''
from mmdet_shufflenetv2.utils.files import write_atomically
print('go', flush=True)
while True:
    for letter in b'bcd':
        write_atomically({str(path)!r}, bytes([letter]) * 2**20)
'''
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
