import pytest
from conftest import ROOT
from mmdet.utils import register_all_modules
from own_data_layouts import loaded

from mmdet_shufflenetv2.checkpoints.metadata import checkpoint_meta
from mmdet_shufflenetv2.cli.parser import parse
from mmdet_shufflenetv2.config.checkpoint_meta import apply_checkpoint_metadata, config_meta
from mmdet_shufflenetv2.config.load import load_config
from mmdet_shufflenetv2.config.options import TrainOptions
from mmdet_shufflenetv2.data.pipelines import image_size


@pytest.fixture
def cfg():
    register_all_modules(init_default_scope=True)
    return loaded('faster_rcnn_snv2')


def checkpoint(**meta):
    return dict(meta=dict(dataset_meta=meta), state_dict={})


def classes_of(cfg):
    return cfg.model.roi_head.bbox_head.num_classes


def test_other_classes_are_set_in_heads_and_data(cfg):
    apply_checkpoint_metadata(cfg, checkpoint(classes=('cat', 'dog')))
    assert classes_of(cfg) == 2
    assert cfg.test_dataloader.dataset.metainfo['classes'] == ('cat', 'dog')


def test_image_size_of_the_checkpoint_is_used(cfg):
    apply_checkpoint_metadata(cfg, checkpoint(classes=('cat',), image_size=(640, 480)))
    assert image_size(cfg) == (640, 480)


def test_config_with_the_same_classes_keeps_its_heads_unless_set(cfg):
    cfg.test_dataloader.dataset.metainfo = dict(classes=('cat', 'dog'))
    apply_checkpoint_metadata(cfg, checkpoint(classes=['cat', 'dog']))
    assert classes_of(cfg) == 80
    apply_checkpoint_metadata(cfg, checkpoint(classes=['cat', 'dog'], num_classes=2))
    assert classes_of(cfg) == 2


def test_reads_upper_case_keys_and_a_single_class_as_string():
    assert checkpoint_meta(checkpoint(CLASSES=('a', 'b')))['classes'] == ('a', 'b')
    assert checkpoint_meta(checkpoint(classes='cat'))['classes'] == ('cat',)


def test_unnamed_classes_are_numbered_with_a_note(cfg, capsys):
    cfg.model.roi_head.bbox_head.num_classes = 3
    apply_checkpoint_metadata(cfg, {'state_dict': {}})
    assert cfg.test_dataloader.dataset.metainfo['classes'] == ('class 0', 'class 1', 'class 2')
    said = capsys.readouterr().err
    assert 'no class names' in said
    entry, _, names = said.partition('`cfg_options` ')[2].partition('=')
    assert entry == 'test_dataloader.dataset.metainfo.classes'
    assert names.startswith('"[')


def test_entry_in_the_note_sets_the_names(capsys):
    register_all_modules(init_default_scope=True)
    options = parse(
        TrainOptions,
        [
            'config.py',
            '--cfg-options',
            'model.roi_head.bbox_head.num_classes=3',
            "test_dataloader.dataset.metainfo.classes=['dog','cat','traffic light']",
        ],
        'train',
    ).cfg_options
    cfg = load_config(ROOT / 'configs' / 'faster_rcnn_snv2.py', options)
    apply_checkpoint_metadata(cfg, {'state_dict': {}})
    assert list(config_meta(cfg)['classes']) == ['dog', 'cat', 'traffic light']
    assert not capsys.readouterr().err


def test_matching_number_of_classes_keeps_config_names(cfg, capsys):
    apply_checkpoint_metadata(cfg, {'state_dict': {}})
    assert config_meta(cfg)['classes'][:2] == ('person', 'bicycle')
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    ('ids', 'known'),
    [((3, 1), (3, 1)), ([0, 7], (0, 7)), ([0, 0], None), ([1], None), (['1', '2'], None), (5, None), (None, None)],
)
def test_category_ids_are_read_if_complete(ids, known):
    assert checkpoint_meta(checkpoint(classes=('a', 'b'), category_ids=ids)).get('category_ids') == known


@pytest.mark.parametrize(
    'loaded',
    [
        {},
        {'meta': None},
        {'meta': {}},
        {'meta': {'dataset_meta': []}},
        checkpoint(classes=5),
        checkpoint(classes=[1, 2]),
        checkpoint(classes=[]),
        checkpoint(image_size='big'),
        checkpoint(image_size=(1, -2)),
        checkpoint(image_size=(1,)),
    ],
)
def test_missing_or_malformed_metadata_is_ignored(cfg, loaded):
    before = cfg.pretty_text
    apply_checkpoint_metadata(cfg, loaded)
    assert cfg.pretty_text == before
