from datetime import date

import pytest

from mmdet_shufflenetv2.paper.reproduce import folder
from mmdet_shufflenetv2.paper.reproduce.folder import collect_provenance


@pytest.mark.parametrize(
    ('machines', 'expected'), [(['A'], 'A'), (['A', 'A'], 'A'), (['A', 'B'], 'A and B'), (['A', 'B', 'A'], 'A and B')]
)
def test_every_machine_on_which_a_step_ran_is_recorded(monkeypatch, machines, expected):
    before = None
    for machine in machines:
        monkeypatch.setattr(folder, 'machine_name', lambda device, machine=machine: machine)
        before = collect_provenance(before, 24)
    assert before['machine'] == expected
    assert (before['images'], before['date']) == (24, date.today().isoformat())
