"""A few faults of each kind; `make chaos` injects hundreds."""

import pytest

from mmdet_shufflenetv2.training.train import train

from .chaos import Chaos, Tally, table


class ChaosHere(Chaos):
    """Goes on in this process; what is killed has one of its own."""

    def run(self, name):
        return train(self.config, work_dir=str(self.folder / name), resume='auto')['checkpoint']


@pytest.mark.slow
def test_training_survives_injected_faults(tmp_path):
    chaos = ChaosHere(tmp_path, seed=1)
    killed, corrupt, annotations, images = (Tally(name) for name in ('killed', 'corrupt', 'annotations', 'images'))
    chaos.kill(killed, [True])
    chaos.corrupt(corrupt, lambda content: content[: len(content) // 2])
    for _ in range(40):
        chaos.mutate_annotations(annotations)
        chaos.mutate_image(images)
    tallies = [killed, corrupt, annotations, images]
    assert [tally.tried for tally in tallies] == [1, 1, 40, 40]
    assert all(tally.survived == tally.tried for tally in tallies), table(tallies)
