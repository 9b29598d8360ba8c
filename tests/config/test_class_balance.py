"""Repetition of images of rare classes: automatic, on or off."""

import pytest
from mmengine.config import Config
from mmengine.dataset import ClassBalancedDataset

from mmdet_shufflenetv2.config.class_balance import balance_classes


def data(*images_of_class):
    """80 images, of which the first so many have each class."""
    return dict(
        images=[dict(id=number) for number in range(80)],
        categories=[dict(id=label, name=f'class {label}') for label in range(len(images_of_class))],
        annotations=[
            dict(category_id=label, image_id=number)
            for label, count in enumerate(images_of_class)
            for number in range(count)
        ],
    )


@pytest.mark.parametrize(
    ('counts', 'wanted', 'balanced'),
    [
        ((40, 40, 4), 'auto', True),
        ((40, 40, 6), 'auto', False),
        ((40, 40, 6), 'on', True),
        ((40, 40, 4), 'off', False),
        ((40,), 'on', False),
        ((40, 40, 0), 'auto', False),
    ],
)
def test_class_is_rare_below_an_eighth_of_the_median(counts, wanted, balanced):
    cfg = Config(dict(train_dataloader=dict(dataset=dict(type='CocoDataset'))))
    notes = balance_classes(cfg, data(*counts), wanted)
    assert (cfg.train_dataloader.dataset.type == 'ClassBalancedDataset') == bool(notes) == balanced
    if balanced:
        assert balance_classes(cfg, data(*counts), wanted) == {}  # once is enough


def test_repeat_factor_is_the_square_root_of_rarity():
    cfg = Config(dict(train_dataloader=dict(dataset=dict(type='CocoDataset'))))
    notes = balance_classes(cfg, data(36, 36, 2), 'auto')
    assert 'class 2: 2 images, median class: 36' in notes['class balance']
    labels = [[label for label, count in enumerate((36, 36, 2)) if number < count] for number in range(80)]

    class Dataset(ClassBalancedDataset):
        dataset = type(
            'Labels', (), dict(get_cat_ids=staticmethod(labels.__getitem__), __len__=lambda self: len(labels))
        )()

        def __init__(self):
            pass

    balanced = Dataset()
    repeats = balanced._get_repeat_factors(balanced.dataset, cfg.train_dataloader.dataset.oversample_thr)
    assert repeats[:2] == pytest.approx([3.0] * 2)
    assert repeats[2:36] == pytest.approx([1.0] * 34)
