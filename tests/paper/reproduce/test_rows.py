import pytest
from conftest import ROOT
from mmengine.config import Config

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.paper.reproduce.rows import ROWS, Row, find_row


def test_the_papers_rows_have_21_figures():
    assert len(ROWS) == len(set(ROWS)) == 13 + 4
    assert sum(len(row.cells) for row in ROWS if not row.size) == 5 + 2 * 8


@pytest.mark.parametrize(
    ('arguments', 'row', 'config', 'published'),
    [
        (dict(table='imagenet', width='0.5'), Row('imagenet', 0.5), 'imagenet/shufflenet_v2_0.5x', [39.7]),
        (
            dict(table='imagenet', width='2', se=True),
            Row('imagenet', 2.0, 'se'),
            'imagenet/shufflenet_v2_se_2.0x',
            [24.6],
        ),
        (dict(table='coco', width='1.0x'), Row('coco', 1.0), 'light_head_rcnn_snv2', [29.0, 146]),
        (dict(table='coco', width='1', star=True), Row('coco', 1.0, 'star'), 'light_head_rcnn_snv2_star', [29.6, 138]),
        (
            dict(table='coco', width='1.5', star=True),
            Row('coco', 1.5, 'star'),
            'light_head_rcnn_snv2_star_1.5x',
            [32.2, 105],
        ),
        (dict(table='nanodet-plus', width='1.0'), Row('nanodet-plus', 1.0, size=320), 'nanodet_plus_m_snv2', [27.0]),
        (
            dict(table='nanodet-plus', width='1.5x', size=416),
            Row('nanodet-plus', 1.5, size=416),
            'nanodet_plus_m_snv2_1.5x_416',
            [34.1],
        ),
    ],
)
def test_a_row_is_found_by_its_properties(arguments, row, config, published):
    found = find_row(**arguments)
    assert found == row
    assert found.config == f'configs/{config}.py'
    assert [cell.published for cell in found.cells.values()] == published


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (dict(table='voc', width='1.0'), ['table=voc', 'imagenet', 'coco']),
        (dict(table='coco', width='0.7'), ['no row of width 0.7', '0.5, 1.0, 1.5, 2.0']),
        (dict(table='coco', width='wide', star=True), ['no row of width wide `star`', '0.5, 1.0, 1.5, 2.0']),
        (dict(table='imagenet', width='1.0', se=True), ['no row of width 1.0 `se`', 'the widths are 2.0']),
        (dict(table='imagenet', width='1.0', star=True), ['has no row `star`', 'ShuffleNet V2 2.0x with SE']),
        (dict(table='coco', width='1.0', star=True, se=True), ['has no row `star` `se`']),
        (dict(table='nanodet-plus', width='2.0'), ['no row of width 2.0', 'the widths are 1.0, 1.5']),
        (dict(table='nanodet-plus', width='1.0', size=640), ['no row of size 640', 'the sizes are 320, 416']),
        (dict(table='nanodet-plus', width='1.0', star=True), ['has no row `star`']),
        (dict(table='coco', width='1.0', size=416), ['no row of size 416', 'omit `size`']),
        (dict(table='coco', width='1.0', size=0), ['no row of size 0', 'omit `size`']),
    ],
)
def test_an_unknown_row_is_rejected_with_the_existing_ones(arguments, words):
    with pytest.raises(UserError) as error:
        find_row(**arguments)
    assert all(word in str(error.value) for word in words), error.value


@pytest.mark.parametrize('row', [row for row in ROWS if not row.size], ids=lambda row: row.name)
def test_the_configs_of_a_row_build_its_network(row):
    for config in {row.classifier_config, row.config}:
        backbone = Config.fromfile(ROOT / config).model.backbone
        assert backbone.widen_factor == row.width
        assert backbone.variant == 'authors'
        assert backbone.get('large_receptive_field', False) == (row.kind == 'star')
        assert backbone.get('with_se', False) == (row.kind == 'se')


@pytest.mark.parametrize('row', [row for row in ROWS if row.size], ids=lambda row: row.name)
def test_the_config_of_a_nanodet_plus_row_has_its_width_size_and_recipe(row):
    cfg = Config.fromfile(ROOT / row.config)
    backbone, train = cfg.model.backbone, cfg.train_dataloader
    assert backbone.widen_factor == row.width
    assert backbone.init_cfg.checkpoint.startswith(f'torchvision://shufflenet_v2_x{row.width}'.replace('.', '_'))
    assert (train.batch_size, cfg.train_cfg.max_epochs) == (96, 300)
    for loader in (train, cfg.test_dataloader):
        (warp,) = (step for step in loader.dataset.pipeline if step.type == 'WarpResize')
        assert tuple(warp.scale) == (row.size, row.size)


@pytest.mark.parametrize('row', [row for row in ROWS if row.table == 'coco'], ids=lambda row: row.name)
def test_a_detector_normalizes_its_input_as_the_classifier(row):
    seen = Config.fromfile(ROOT / row.classifier_config).detector_input
    shown = Config.fromfile(ROOT / row.config).model.data_preprocessor
    assert {key: shown[key] for key in seen} == seen
