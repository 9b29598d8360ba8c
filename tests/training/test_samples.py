"""The sheet of sample images: the same images each time, ground truth left, detections right."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmdet_shufflenetv2.training.samples import SampleImagesHook
from mmdet_shufflenetv2.training.train import train


class Data:
    """Twenty gray images of 60 x 40 pixels with one object each."""

    def __init__(self, folder):
        self.metainfo = dict(classes=('cat', 'dog'))
        self.folder = folder
        for number in range(20):
            cv2.imwrite(str(folder / f'{number}.png'), np.full((40, 60, 3), 128, np.uint8))

    def __len__(self):
        return 20

    def get_data_info(self, number):
        return dict(
            img_id=number,
            instances=[
                dict(bbox=[10, 10, 20, 20], bbox_label=1, ignore_flag=0),
                dict(bbox=[40, 0, 50, 10], bbox_label=0, ignore_flag=1),
            ],
        )

    def sample(self, number, score):
        found = InstanceData(
            bboxes=torch.tensor([[30.0, 20, 50, 35]]), labels=torch.tensor([0]), scores=torch.tensor([score])
        )
        return DetDataSample(
            metainfo=dict(img_id=number, img_path=str(self.folder / f'{number}.png')), pred_instances=found
        )


class Backend:
    def __init__(self):
        self.images = []

    def add_image(self, name, image, step):
        self.images.append((name, image.shape, step))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """What one evaluation makes of detections with a score."""
    data, backend, drawn = Data(tmp_path), Backend(), []
    monkeypatch.setattr(
        'mmdet_shufflenetv2.training.samples.make_sheet',
        lambda images, captions, **kwargs: drawn.append((images, captions)) or images[0],
    )
    runner = SimpleNamespace(
        rank=0,
        world_size=1,
        work_dir=str(tmp_path),
        epoch=3,
        iter=60,
        train_loop=None,
        val_dataloader=SimpleNamespace(dataset=data),
        visualizer=SimpleNamespace(_vis_backends=dict(tracker=backend)),
    )
    hook = SampleImagesHook(count=4)

    def evaluate(score):
        hook.before_val_epoch(runner)
        for first in range(0, 20, 5):
            hook.after_val_iter(runner, 0, outputs=[data.sample(first + place, score) for place in range(5)])
        hook.after_val_epoch(runner, {})
        return drawn[-1]

    return SimpleNamespace(evaluate=evaluate, backend=backend, folder=tmp_path)


def test_samples_are_spread_over_the_data_and_fixed(run):
    captions = [run.evaluate(score)[1] for score in (0.5, 0.6)]
    names = [[caption.partition(':')[0] for caption in each] for each in captions]
    assert names[0] == names[1] == ['0.png', '6.png', '13.png', '19.png']
    assert run.backend.images == [('samples', (240, 724, 3), 60)] * 2
    assert (run.folder / 'samples' / 'iter_60.jpg').is_file()


def test_ground_truth_is_drawn_left_and_detections_right(run):
    [image, *_], [caption, *_] = run.evaluate(0.5)
    gray = np.full((240, 360, 3), 128)
    left, right = (np.argwhere((side != gray).any(-1)) for side in (image[:, :360], image[:, 364:]))
    # The objects, six times as large; a name is above its box, a crowd is not drawn.
    assert (left[:, 1].min(), left[:, 0].max()) == pytest.approx((60, 120), abs=3)
    assert (right[:, 1].min(), right[:, 0].max()) == pytest.approx((180, 210), abs=3)
    assert '1 boxes, 1 detections' in caption


def test_low_scores_are_counted_but_not_drawn(run):
    [image, *_], [caption, *_] = run.evaluate(0.25)
    assert (image[:, 364:] == 128).all()
    assert caption.endswith('0 detections with a score of 0.3 or more, highest score 0.25')


@pytest.mark.slow
def test_every_evaluation_writes_samples(small_config, tmp_path):
    train(small_config, work_dir=str(tmp_path))
    sheets = [cv2.imread(str(tmp_path / 'samples' / f'epoch_{number}.jpg')) for number in (1, 2)]
    assert sheets[0].shape == sheets[1].shape
    assert sheets[0].shape[1] > 1400
