from datetime import date

import pytest

from mmdet_shufflenetv2.paper.reproduce import folder
from mmdet_shufflenetv2.paper.reproduce.folder import account_of


@pytest.mark.parametrize(('machines', 'told'), [
    (['A'], 'A'), (['A', 'A'], 'A'), (['A', 'B'], 'A and B'), (['A', 'B', 'A'], 'A and B')])
def test_every_machine_on_which_a_step_ran_is_told(monkeypatch, machines, told):
    before = None
    for machine in machines:
        monkeypatch.setattr(folder, 'machine_name', lambda device, machine=machine: machine)
        before = account_of(before, 24)
    assert before['machine'] == told
    assert (before['images'], before['date']) == (24, date.today().isoformat())
