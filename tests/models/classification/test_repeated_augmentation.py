from collections import Counter

import pytest

from mmdet_shufflenetv2.models.classification import RepeatedAugmentationSampler, recipes


def samples(monkeypatch, rank, world_size, epoch=0, images=24, repeats=3):
    monkeypatch.setattr(recipes, 'get_dist_info', lambda: (rank, world_size))
    sampler = RepeatedAugmentationSampler(range(images), repeats, seed=5)
    sampler.set_epoch(epoch)
    assert len(sampler) == len(list(sampler)) == images // world_size
    return list(sampler)


def test_an_epoch_has_a_third_of_the_images_three_times_in_a_row(monkeypatch):
    indices = samples(monkeypatch, 0, 1)
    assert set(Counter(indices).values()) == {3}
    assert indices == [image for image in indices[::3] for _ in range(3)]


@pytest.mark.parametrize('world_size', [2, 3, 4])
def test_the_views_of_an_image_go_to_different_processes(monkeypatch, world_size):
    parts = [samples(monkeypatch, rank, world_size, repeats=world_size) for rank in range(world_size)]
    assert all(part == parts[0] for part in parts)
    assert len(set(parts[0])) == len(parts[0])


def test_each_epoch_has_its_own_order(monkeypatch):
    assert samples(monkeypatch, 0, 1, epoch=1) != samples(monkeypatch, 0, 1, epoch=2)
    assert samples(monkeypatch, 0, 1, epoch=1) == samples(monkeypatch, 0, 1, epoch=1)
