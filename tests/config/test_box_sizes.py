"""Choice of the input size for small boxes."""

import pytest
from own_data_layouts import loaded

from mmdet_shufflenetv2.config.box_sizes import fit_image_size
from mmdet_shufflenetv2.config.options import TrainOptions
from mmdet_shufflenetv2.data.pipelines import image_size


def annotations(side, image=(640, 480)):
    """Boxes of one size, and crowds that do not count."""
    return dict(
        images=[dict(id=7, width=image[0], height=image[1])],
        annotations=[dict(image_id=7, bbox=[0, 0, side, side])] * 8
        + [dict(image_id=7, bbox=[0, 0, 1, 1], iscrowd=1)] * 8,
    )


def fitted(name, train, config='nanodet-plus-m-320', **options):
    cfg = loaded(name)
    notes = fit_image_size(cfg, train, TrainOptions(config, data='fish', **options))
    return cfg, notes


@pytest.mark.parametrize(
    ('name', 'side', 'image', 'size'),
    [
        ('nanodet_plus_m_snv2', 40, (640, 480), (320, 320)),
        ('nanodet_plus_m_snv2', 25, (640, 480), (320, 320)),
        ('nanodet_plus_m_snv2', 16, (640, 480), (512, 512)),
        ('nanodet_plus_m_snv2', 2, (4000, 3000), (640, 640)),  # at most doubled
        ('nanodet_plus_m_snv2', 2, (480, 400), (480, 480)),  # not larger than the images
        ('nanodet_plus_m_snv2', 2, (200, 160), (320, 320)),
        ('faster_rcnn_snv2', 16, (4000, 3000), (2656, 1600)),
        ('faster_rcnn_snv2', 16, (640, 480), (1333, 800)),
    ],
)
def test_small_boxes_in_large_images_get_a_larger_input(name, side, image, size):
    cfg, notes = fitted(name, annotations(side, image))
    assert image_size(cfg) == image_size(cfg, 'train') == size
    assert ('image size' in notes) == (size not in ((320, 320), (1333, 800)))


@pytest.mark.parametrize(
    'options',
    [dict(image_size='320'), dict(cfg_options={'train_dataloader.dataset.pipeline': []}), dict(config='best.pth')],
)
def test_explicit_or_trained_image_size_is_kept(options):
    cfg, notes = fitted('nanodet_plus_m_snv2', annotations(8), **options)
    assert (image_size(cfg), notes) == ((320, 320), {})


def test_data_without_boxes_change_nothing():
    train = dict(annotations(8), annotations=[])
    assert fitted('nanodet_plus_m_snv2', train)[1] == {}
