import io
import os
import signal
import sys

import pytest

from mmdet_shufflenetv2.cli.errors import run_command


@pytest.mark.parametrize(
    ('error', 'words'),
    [
        (NotADirectoryError(20, 'Not a directory', 'photo.jpg/run'), 'photo.jpg/run cannot be read or written'),
        (PermissionError(13, 'Permission denied', 'run'), 'Permission denied'),
    ],
)
def test_system_error_about_a_file_is_a_user_error(capsys, error, words):

    def main():
        raise error

    with pytest.raises(SystemExit) as end:
        run_command(main)
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith('error: ')
    assert words in said


@pytest.mark.parametrize('unbuffered', [False, True])
@pytest.mark.parametrize('ends', [lambda: None, lambda: sys.exit(0), lambda: print('more' * 9000)])
def test_closed_pipe_ends_a_tool_silently(monkeypatch, capfd, ends, unbuffered):
    reads, writes = os.pipe()
    monkeypatch.setattr(
        sys, 'stdout', io.TextIOWrapper(os.fdopen(writes, 'wb', 0 if unbuffered else -1), write_through=unbuffered)
    )
    os.close(reads)

    def main():
        print('a table')
        ends()

    with pytest.raises(SystemExit) as end:
        run_command(main)
    assert end.value.code == 128 + signal.SIGPIPE
    sys.stdout.close()
    assert capfd.readouterr().err == ''


def test_system_error_without_a_file_keeps_its_traceback():

    def main():
        raise BrokenPipeError(32, 'Broken pipe')

    with pytest.raises(BrokenPipeError):
        run_command(main)
