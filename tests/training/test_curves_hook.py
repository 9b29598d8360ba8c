"""Curves are redrawn while a run goes on, by one process."""

from types import SimpleNamespace

import pytest

from mmdet_shufflenetv2.training.curves import CurvesHook


@pytest.mark.parametrize(('rank', 'drawn'), [(0, True), (1, False)])
def test_the_first_process_draws_after_each_evaluation(tmp_path, rank, drawn):
    log = tmp_path / '20260101_000000' / 'vis_data' / 'scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text('{"lr": 0.1, "loss": 3.0, "epoch": 1, "iter": 10, "step": 10}\n')
    CurvesHook().after_val_epoch(SimpleNamespace(rank=rank, work_dir=str(tmp_path)))
    assert (tmp_path / 'curves.png').is_file() == drawn
