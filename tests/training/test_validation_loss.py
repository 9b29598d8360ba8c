"""The loss on validation images is the detector's own on these images, and a training does not notice it."""

import pytest
import torch
from conftest import ROOT, SMALL_CONFIG
from mmdet.models.detectors import FasterRCNN
from mmdet.registry import DATASETS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.runner.checkpoint import CheckpointLoader

from mmdet_shufflenetv2.config.options import TrainOptions
from mmdet_shufflenetv2.config.resolve import resolve
from mmdet_shufflenetv2.config.runner import build_runner
from mmdet_shufflenetv2.training.train import train

# How each detector's own pipeline fits an image; the Shapes' of 96 pixels become 160.
MOVES = {
    'nanodet_m_snv2_shapes': [],
    'nanodet_plus_m_snv2_shapes': [],
    'nanodet_plus_m_snv2': [dict(type='WarpResize', scale=(160, 160))],
    'nanodet_m_snv2': [
        dict(type='FitResize', scale=(160, 160)),
        dict(type='CenterPad', size=(192, 192), pad_val=(0, 0, 0)),
    ],
}


def small(path, base, shapes_root):
    lines = SMALL_CONFIG.format(root=ROOT, base=f'{base}.py', data=shapes_root)
    path.write_text(
        '\n'.join(
            line
            for line in lines.splitlines()
            if '=' in line and 'backbone' not in line and 'test_cfg=dict(rcnn' not in line and line != 'model = dict('
        )
    )
    return path


@pytest.mark.parametrize('name', MOVES)
def test_equals_the_detector_loss_on_transformed_objects(name, shapes_root, tmp_path):
    base = name if name.endswith('shapes') else f'{name.removesuffix("_snv2")}_snv2_shapes'
    path = small(tmp_path / 'small.py', base, shapes_root)
    move = MOVES[name] or [dict(type='Resize', scale=(160, 160), keep_ratio=True)]
    evaluation = [
        dict(type='LoadImageFromFile'),
        *move,
        dict(type='LoadAnnotations', with_bbox=True),
        dict(
            type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'padding')
        ),
    ]
    evaluation[-1]['meta_keys'] = evaluation[-1]['meta_keys'][: 6 if len(move) == 2 else 5]
    cfg, _ = resolve(
        TrainOptions(
            str(path),
            work_dir=str(tmp_path / 'run'),
            val_loss=True,
            cfg_options={'val_dataloader.dataset.pipeline': evaluation},
        )
    )
    cfg.custom_hooks = [hook for hook in cfg.custom_hooks if hook['type'] == 'ValidationLossHook']
    cfg.default_hooks.checkpoint = None
    runner = build_runner(cfg)
    runner.model.eval()
    found = runner.val_loop.run() or {
        name.removeprefix('val/'): buffer.current()
        for name, buffer in runner.message_hub.log_scalars.items()
        if name.startswith('val/')
    }

    # As a training would see the same images, unchanged.
    dataset = DATASETS.build(
        dict(
            cfg.val_dataloader.dataset,
            test_mode=False,
            pipeline=[evaluation[0], dict(type='LoadAnnotations', with_bbox=True), *move, evaluation[-1]],
        )
    )
    total = 0.0
    for first in range(0, len(dataset), 4):
        images = [dataset[place] for place in range(first, min(first + 4, len(dataset)))]
        batch = runner.model.data_preprocessor(pseudo_collate(images), True)
        with torch.no_grad():
            loss, _ = runner.model.parse_losses(runner.model(**batch, mode='loss'))
        total += loss.item() * len(images)
    assert found['val_loss'] == pytest.approx(total / len(dataset), rel=1e-5)
    assert sum(
        value for name, value in found.items() if name.startswith('val_') and name != 'val_loss'
    ) == pytest.approx(found['val_loss'], rel=1e-5)


def test_metrics_are_unchanged(small_config, tmp_path):
    register_all_modules(init_default_scope=True)
    samples = []
    for asked in (False, True):
        cfg, _ = resolve(TrainOptions(str(small_config), work_dir=str(tmp_path), val_loss=asked))
        samples.append(DATASETS.build(cfg.val_dataloader.dataset)[0]['data_samples'])
    before, after = samples
    targets = after.pop('loss_targets')
    assert before.metainfo == after.metainfo
    assert torch.equal(before.gt_instances.bboxes.tensor, after.gt_instances.bboxes.tensor)
    factor = torch.tensor(after.scale_factor * 2)
    assert torch.allclose(targets.gt_instances.bboxes.tensor, before.gt_instances.bboxes.tensor * factor, atol=1e-3)
    assert after.scale_factor[1] == 160 / 96


@pytest.mark.slow
def test_training_is_bit_identical(small_config, tmp_path):
    weights = []
    for asked in (False, True):
        written = train(small_config, work_dir=str(tmp_path / str(asked)), val_loss=asked)
        weights.append(CheckpointLoader.load_checkpoint(str(written['checkpoint']))['state_dict'])
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_unsupported_detector_is_reported_once_and_trains(small_config, tmp_path, monkeypatch, capfd):
    own = FasterRCNN.loss

    def in_training_only(self, *args):
        if not self.training:
            raise AttributeError('no queries')
        return own(self, *args)

    monkeypatch.setattr(FasterRCNN, 'loss', in_training_only)
    train(small_config, work_dir=str(tmp_path), val_loss=True)
    shown = capfd.readouterr().out
    assert shown.count('No validation loss: FasterRCNN') == 1
    assert 'no queries' in shown
    assert 'epoch 2/2' in shown
    assert 'val_loss' not in ''.join(path.read_text() for path in tmp_path.glob('*/vis_data/scalars.json'))


def test_unsupported_pipelines_are_not_changed():
    from mmdet_shufflenetv2.config.validation_loss import add_validation_loss

    load, image, pack = (dict(type=kind) for kind in ('LoadAnnotations', 'LoadImageFromFile', 'PackDetInputs'))
    for pipeline in ([image, dict(type='Own')], [image, load, dict(type='Resize'), pack]):
        cfg = Config(
            dict(
                model=dict(type='FasterRCNN'),
                train_dataloader=dict(dataset=dict(pipeline=[image, load])),
                val_dataloader=dict(dataset=dict(pipeline=pipeline)),
            )
        )
        add_validation_loss(cfg)
        assert [step['type'] for step in cfg.val_dataloader.dataset.pipeline] == [step['type'] for step in pipeline]
