"""What samplers of boxes draw for an image, in whatever process it lies."""

import random

import pytest
import torch
from mmdet.models.task_modules.samplers import RandomSampler
from mmdet.registry import MODELS

from mmdet_shufflenetv2.config.load import load_config
from mmdet_shufflenetv2.training.fault_tolerance import image_draws
from mmdet_shufflenetv2.training.fault_tolerance.image_draws import ImageDraws


def draws(rank, world_size, images, step=(7, 1, 3)):
    """What a sampler draws for this many images of a process."""
    draw = ImageDraws(lambda: torch.randperm(1000)[:5].tolist(), rank, world_size)
    draw.begin(*step)
    return [draw() for _ in range(images)]


@pytest.mark.parametrize('world_size', [2, 3])
def test_processes_sample_as_a_single_one(world_size):
    one = draws(0, 1, 6)
    for rank in range(world_size):
        random.seed(rank)
        torch.manual_seed(rank)
        assert draws(rank, world_size, 6 // world_size) == one[rank::world_size]


def test_images_steps_and_samplers_have_different_seeds():
    drawn = [*draws(0, 1, 3), *draws(0, 1, 1, (7, 1, 4)), *draws(0, 1, 1, (7, 2, 3)), *draws(0, 1, 1, (8, 1, 3))]
    assert len(set(map(tuple, drawn))) == 6


def test_global_random_state_is_unchanged():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    draws(0, 1, 2)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    ('config', 'count'),
    [('faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', 2), ('cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py', 4)],
)
def test_every_sampler_of_a_detector_is_found(config, count):
    model = MODELS.build(load_config(f'mmdet::{config}').model)
    assert sum(isinstance(each, RandomSampler) for each in image_draws._samplers(model)) == count
