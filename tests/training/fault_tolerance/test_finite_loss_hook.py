"""A NaN or infinite loss."""

import pytest
from mmdet.registry import HOOKS
from mmengine.hooks import Hook

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.training.train import train


@HOOKS.register_module(force=True)
class ExplodeAtStep(Hook):
    """Scales the weights up before a step, as a learning rate that is too high would."""

    def __init__(self, step):
        self.step = step

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 == self.step:
            ExplodeAtStep.images = [sample.img_id for sample in data_batch['data_samples']]
            for parameter in runner.model.roi_head.parameters():
                parameter.data *= float('inf')


def test_ends_the_run_with_its_images_and_the_last_good_checkpoint(random_config, tmp_path):
    with pytest.raises(UserError, match=r'(?s)NaN or infinite at step 8 .*epoch_1\.pth.*--resume') as raised:
        train(random_config("dict(type='ExplodeAtStep', step=8)"), work_dir=str(tmp_path / 'run'))
    assert all(f'{image} (' in str(raised.value) for image in ExplodeAtStep.images)
    assert [path.name for path in (tmp_path / 'run').glob('*.pth')] == ['epoch_1.pth']
