from pathlib import Path

import pytest

from mmdet_shufflenetv2.training.train import _as_named


@pytest.mark.parametrize(
    ('path', 'work_dir', 'expected'),
    [
        ('here/work_dirs/run/epoch_1.pth', 'work_dirs/run', 'work_dirs/run/epoch_1.pth'),
        ('here/work_dirs/run/epoch_1.pth', 'here/work_dirs/run', 'here/work_dirs/run/epoch_1.pth'),
        ('elsewhere/run/epoch_1.pth', 'work_dirs/run', 'elsewhere/run/epoch_1.pth'),
    ],
)
def test_what_a_run_has_written_is_named_as_its_work_dir_was(tmp_path, monkeypatch, path, work_dir, expected):
    here = tmp_path / 'here'
    here.mkdir()
    monkeypatch.chdir(here)
    work_dir, expected = (
        str(tmp_path / name) if name.startswith(('here', 'elsewhere')) else name for name in (work_dir, expected)
    )
    assert _as_named(str(tmp_path / path), work_dir) == Path(expected)
