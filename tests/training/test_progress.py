"""The screen of a training: a bar on a terminal, two lines an epoch, and everything else in the log file."""

import re
import sys

import pytest

from mmdet_shufflenetv2.training.train import train


@pytest.fixture(params=[pytest.param(False, marks=pytest.mark.slow), True], ids=['file', 'terminal'])
def screen(request, small_config, tmp_path, monkeypatch, capfd):
    """What a run of two epochs shows, whether on a terminal, and its log."""
    monkeypatch.setattr(type(sys.stderr), 'isatty', lambda self: request.param)
    train(small_config, work_dir=str(tmp_path), cfg_options={'train_cfg.val_interval': 1})
    [log] = tmp_path.glob('*/*.log')
    return capfd.readouterr(), request.param, log.read_text()


def test_epoch_prints_two_lines_and_logs_the_rest(screen):
    shown, is_terminal, log = screen
    after = shown.out.split('results: ')[1].splitlines()[1:]
    epochs = [line for line in after if line.strip() and ', step ' not in line]  # a line a minute on a slow machine
    assert len(epochs) == 4, epochs
    for number in (1, 2):
        assert re.fullmatch(
            rf'epoch {number}/2: loss [\d.]+, learning rate [\d.e-]+, \d\d:\d\d', epochs[2 * number - 2]
        )
        assert re.match(r'    box mmAP 0\.\d+, box AP50 0\.\d+, box AP75 0\.', epochs[2 * number - 1])
    assert ('step/s' in shown.err or 's/step' in shown.err) == is_terminal
    assert ('2/2' in shown.err and '6/6' in shown.err) == is_terminal
    for chatter in ('Epoch(train) [2][3/3]', 'loading annotations into memory', 'Average Precision', 'circle'):
        assert chatter in log
    assert 'loading annotations' not in shown.out + shown.err
    assert 'Average Precision' not in shown.out + shown.err
