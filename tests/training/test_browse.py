import json

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.training.browse import browse, draw_sheets
from mmdet_shufflenetv2.visualization import class_color


def test_sheets_have_twelve_images_and_depend_on_the_seed(small_config, tmp_path):
    sheets = browse(small_config, tmp_path / 'a', count=100, seed=3)  # of twelve
    assert [sheet.name for sheet in sheets] == ['sheet_1.jpg']
    [again], [other] = (browse(small_config, tmp_path / str(seed), count=12, seed=seed) for seed in (3, 4))
    assert sheets[0].read_bytes() == again.read_bytes() != other.read_bytes()  # images are flipped at random


LOAD, BOXES, PACK = (
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs'),
)
RESIZE = dict(type='FixScaleResize', scale=(320, 320), keep_ratio=True)


@pytest.mark.parametrize(
    ('split', 'pipeline', 'expected'),
    [
        # x: 320 - 2 * 40 to 320 - 2 * 10; y: 2 * 40 to 2 * 60.
        ('train', [LOAD, BOXES, RESIZE, dict(type='RandomFlip', prob=1.0), PACK], [240, 300, 80, 120]),
        # MMDetection evaluates in the original image, so test pipelines load the boxes last.
        ('val', [LOAD, RESIZE, BOXES, PACK], [20, 80, 80, 120]),
        ('test', [LOAD, RESIZE, dict(type='CenterPad', size=(320, 320)), BOXES, PACK], [20, 80, 140, 180]),
    ],
)
def test_boxes_are_transformed_by_the_pipeline(tmp_path, split, pipeline, expected):
    """One object on an image that is made twice as large."""
    cv2.imwrite(str(tmp_path / 'image.png'), np.full((100, 160, 3), 128, np.uint8))
    (tmp_path / 'a.json').write_text(
        json.dumps(
            dict(
                images=[dict(id=1, file_name='image.png', height=100, width=160)],
                categories=[dict(id=1, name='')],
                annotations=[dict(id=1, image_id=1, category_id=1, bbox=[10, 40, 30, 20], area=600, iscrowd=0)],
            )
        )
    )
    dataset = dict(
        type='CocoDataset',
        data_root=str(tmp_path),
        ann_file='a.json',
        data_prefix=dict(img=''),
        metainfo=dict(classes=('',)),
        pipeline=pipeline,
        test_mode=split != 'train',
    )
    [sheet] = draw_sheets(Config({f'{split}_dataloader': dict(dataset=dataset)}), tmp_path, count=1, split=split)
    # The image stands in the sheet eight pixels from the border.
    image = cv2.imread(str(sheet))[8:328, 8:328]
    painted = np.abs(image.astype(int) - np.array(class_color(0))[::-1]).max(axis=2) < 60
    y, x = np.nonzero(painted)
    assert np.allclose([x.min(), x.max(), y.min(), y.max()], expected, atol=2)


def test_own_data_can_be_browsed_before_training(small_config, layout, tmp_path, capsys):
    [sheet] = browse(small_config, tmp_path / 'out', count=2, data=str(layout('yolo')))
    said = capsys.readouterr().out
    assert 'YOLO format' in said
    assert 'warm-up' not in said
    assert cv2.imread(str(sheet)).shape[1] == 2 * 328 + 8  # two images side by side


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(count=0), 'count=0'),
        (dict(data='nowhere'), 'nowhere'),
        (dict(data_root='nowhere'), 'data_root=nowhere is not a folder'),
        (dict(cfg_options={'train_dataloader.dataset.type': 'Nothing'}), 'Nothing'),
        (dict(cfg_options={'test_dataloader': None}, split='test'), 'has no test_dataloader'),
    ],
)
def test_rejects_invalid_arguments(small_config, tmp_path, options, words):
    with pytest.raises(UserError, match=words):
        browse(small_config, tmp_path, **options)


def test_rejects_a_classifier(tool, small_classifier, tmp_path):
    ended = tool('browse.py', small_classifier, '--out-dir', tmp_path)
    assert ended.status == 2
    assert 'Sheets show boxes' in ended.err
