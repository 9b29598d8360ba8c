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
def test_outputs_are_printed_relative_to_the_work_dir_argument(tmp_path, monkeypatch, path, work_dir, expected):
    here = tmp_path / 'here'
    here.mkdir()
    monkeypatch.chdir(here)
    work_dir, expected = (
        str(tmp_path / name) if name.startswith(('here', 'elsewhere')) else name for name in (work_dir, expected)
    )
    assert _as_named(str(tmp_path / path), work_dir) == Path(expected)
