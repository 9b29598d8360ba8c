import subprocess
import sys
from importlib.metadata import version

import pytest
import torch
from conftest import ROOT

from mmdet_shufflenetv2 import compat


def rows(text):
    return {
        cells[1].strip(): [c.strip() for c in cells[2:5]]
        for line in text.splitlines()
        if line.startswith('| ') and (cells := line.split('|'))
    }


def test_the_report_contains_versions_and_the_state_of_every_operator():
    text = compat.report()
    assert f'torch: torch {version("torch")}' in text
    assert f'mmcv operators: {"provided by" if compat.ops_are_served() else "compiled"}' in text
    table = rows(text)
    assert len(table) > 15
    for name, (provider, cpu, cuda) in table.items():
        if name in ('operator', '---'):
            continue
        assert provider
        if compat.ops_are_served():
            assert cpu == 'yes', (name, cpu)
        assert cuda == ('yes' if torch.cuda.is_available() else 'no GPU')


def test_the_report_contains_the_error_of_a_failed_operator(monkeypatch):
    class Broken:
        def __getattr__(self, name):
            raise RuntimeError('undefined symbol: broken')

    # mmcv.ops.nms is the function; the module of that name is only in sys.modules.
    monkeypatch.setattr(sys.modules['mmcv.ops.nms'], 'ext_module', Broken())
    assert rows(compat.report())['nms'][1] == 'no: undefined symbol: broken'


@pytest.mark.slow
def test_it_can_be_printed_from_the_command_line():
    done = subprocess.run(
        [sys.executable, '-m', 'mmdet_shufflenetv2.compat'], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert '| roi_align |' in done.stdout
    assert 'UserWarning' not in done.stderr
