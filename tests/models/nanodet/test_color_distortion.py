import numpy as np
import pytest
from conftest import ROOT
from mmdet.registry import TRANSFORMS
from mmdet.utils import register_all_modules
from mmengine.config import Config

register_all_modules()


@pytest.mark.parametrize('name', ['nanodet_m_snv2', 'nanodet_m_snv2_416'])
def test_colors_change_but_channels_are_not_swapped(name):
    (distort,) = (
        step
        for step in Config.fromfile(ROOT / 'configs' / f'{name}.py').train_pipeline
        if step['type'] == 'ColorDistortion'
    )
    transform = TRANSFORMS.build(distort)
    pixels = np.full((2, 2, 3), (40, 120, 200), np.uint8)
    colors = np.array([transform(dict(img=pixels))['img'][0, 0] for _ in range(200)])
    assert (colors[:, 0] < colors[:, 1]).all()
    assert (colors[:, 1] < colors[:, 2]).all()
    hue = (colors[:, 1] - colors[:, 0]) / (colors[:, 2] - colors[:, 0])  # 0.5 for this color
    assert hue == pytest.approx(0.5, abs=1e-3)
    assert len(np.unique(colors.round(2), axis=0)) > 100
