import re

from mmdet_shufflenetv2.profiling.complexity import detector_complexity
from mmdet_shufflenetv2.training.train import train


def logged(work_dir):
    [log] = work_dir.glob('*/*.log')
    screen = log.read_text().split('This run\n')[1]
    return dict(re.findall(r'^  ([a-z ]+): +(.*)$', screen, re.MULTILINE)), log.read_text()


def test_first_screen_describes_the_run(small_config, tmp_path):
    train(
        small_config,
        work_dir=str(tmp_path),
        cfg_options={
            'train_cfg.max_epochs': 1,
            'auto_scale_lr.enable': True,
            'model.backbone.frozen_stages': 0,
            'optim_wrapper.accumulative_counts': 2,
        },
    )
    screen, log = logged(tmp_path)
    assert log.index('This run') < log.index('Epoch(train)')
    assert screen['device'].startswith(('CPU, ', 'NVIDIA'))
    assert screen['data'] == '12 training images, 6 validation images'
    assert screen['classes'] == '5: circle, square, triangle, star, cross'
    assert screen['batch'] == '8 images per step (4 per device x 2 accumulated batches)'
    assert screen['length'] == '1 epochs of 3 steps'
    assert screen['results'] == str(tmp_path)
    # The config's 0.003 stands for 8 images; MMEngine scales by what a device loads.
    assert screen['learning rate'].endswith('scaled from 8 images per step')
    assert float(screen['learning rate'].split(',')[0]) == 0.0015
    # Counted on its own from the config; the stem, 24 channels, is frozen.
    cost = detector_complexity(small_config, 160, 160)
    assert screen['model'].startswith(f'FasterRCNN, {cost.parameters / 1e6:.2f}M parameters, ')
    assert screen['model'].endswith('multiply-adds on 160 x 160 pixels')


def test_a_classifier_is_described_too(small_classifier, tmp_path):
    train(small_classifier, work_dir=str(tmp_path), cfg_options={'train_cfg.max_epochs': 1})
    screen, _ = logged(tmp_path)
    assert screen['classes'].startswith('3: across, down, slanted')
    assert 'M parameters' in screen['model']
