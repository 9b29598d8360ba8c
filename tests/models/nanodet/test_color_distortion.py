import numpy as np
import pytest
from conftest import ROOT
from mmdet.registry import TRANSFORMS
from mmdet.utils import register_all_modules
from mmengine.config import Config

register_all_modules()


@pytest.mark.parametrize('name', ['nanodet_m_snv2', 'nanodet_m_snv2_416'])
def test_colours_change_but_no_channel_takes_anothers_place(name):
    distort, = (step for step in Config.fromfile(ROOT / 'configs' / f'{name}.py').train_pipeline
                if step['type'] == 'ColorDistortion')
    transform = TRANSFORMS.build(distort)
    pixels = np.full((2, 2, 3), (40, 120, 200), np.uint8)
    seen = np.array([transform(dict(img=pixels))['img'][0, 0] for _ in range(200)])
    assert (seen[:, 0] < seen[:, 1]).all()
    assert (seen[:, 1] < seen[:, 2]).all()
    hue = (seen[:, 1] - seen[:, 0]) / (seen[:, 2] - seen[:, 0])  # 0.5 of this colour
    assert hue == pytest.approx(0.5, abs=1e-3)
    assert len(np.unique(seen.round(2), axis=0)) > 100
