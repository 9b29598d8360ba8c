"""The script that measures on a GPU, tried on the CPU with small sizes."""

import json
import subprocess
import sys

import pytest
from conftest import ROOT


def run(*arguments):
    script = ROOT / 'benchmarks' / 'gpu' / 'run.py'
    return subprocess.run([sys.executable, script, *map(str, arguments)], capture_output=True, text=True)


def test_a_step_is_timed_part_by_part(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / 'benchmarks' / 'gpu')
    import steps

    from mmdet_shufflenetv2.config.load import load_config

    cfg = load_config(ROOT / 'configs' / 'nanodet_m_snv2_0.5x.py', {'model.backbone.norm_eval': False})
    steps.resize_images(cfg, 'train', (64, 96))
    done = steps.run_steps(cfg, 'cpu', 2, 4)
    assert len(set(done.losses)) == 4
    assert min(done.losses) > 0
    assert list(done.parts) == ['forward', 'backward', 'optimizer']
    assert all(0 < seconds < 10 for seconds in (*done.parts.values(), done.step, done.data))


@pytest.mark.slow
def test_stages_write_their_tables(tmp_path):
    ended = run(
        '--quick', '--output', tmp_path, '--device', 'cpu', '--stages', 'table7', 'mixed_precision', 'training', 'hooks'
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    written = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob('*.json')}
    assert set(written) == {'table7', 'mixed_precision', 'training', 'hooks'}
    assert all(table['machine'] and '--quick' in table['command'] for table in written.values())
    [row] = written['table7']['rows']
    assert (row['network'], row['paper_gtx_1080_ti']) == ('ShuffleNet V2 0.5x', 188)
    assert all(row['finite'] for row in written['mixed_precision']['rows'])
    for row in written['training']['rows']:
        # Parts of a step, each timed alone, take about as long as a step.
        assert (
            'note' in row
            or 0.2
            < sum(row[f'{part}_ms'] for part in ('forward', 'backward', 'optimizer'))
            / (1e3 * row['batch'] / row['images_per_second'])
            < 5
        )
    assert [row['hooks'] for row in written['hooks']['rows']] == ['ours', 'stock'] * 2
    assert '| --- |' in (tmp_path / 'table7.md').read_text()


@pytest.mark.slow
def test_a_stage_that_fails_leaves_its_error_and_the_others_run(tmp_path):
    stages = ['finetune', 'mixed_precision']
    data = ['--coco', tmp_path, '--weights', tmp_path / 'no.pth', '--backbone', tmp_path / 'no.pth']
    ended = run('--quick', '--output', tmp_path / 'out', '--device', 'cpu', '--stages', *stages, *data)
    assert ended.returncode == 1
    assert 'failed: finetune' in ended.stderr
    assert str(tmp_path) in (tmp_path / 'out' / 'finetune_error.txt').read_text()
    assert (tmp_path / 'out' / 'mixed_precision.md').is_file()
