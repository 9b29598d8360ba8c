"""Files for ncnn, made by pnnx and run by ncnn's own package."""

import json
import shutil

import numpy as np
import pytest

from mmdet_shufflenetv2 import Detector, UserError
from mmdet_shufflenetv2.config.detector import load_detector
from mmdet_shufflenetv2.data.shapes import draw_image
from mmdet_shufflenetv2.deploy import export_model
from mmdet_shufflenetv2.deploy.check import _detect

pytest.importorskip('ncnn', reason="needs ncnn: pip install '.[ncnn]'")
pytest.importorskip('pnnx', reason="needs pnnx: pip install '.[ncnn]'")


@pytest.fixture(scope='module')
def small(small_nanodet, tmp_path_factory):
    """Config, checkpoint and a file of a small NanoDet-m in half precision."""
    (config, checkpoint), out = small_nanodet, tmp_path_factory.mktemp('ncnn') / 'small.param'
    export_model(config, checkpoint, out, precision='fp16')
    return config, checkpoint, out


@pytest.mark.parametrize('size', [50, 130])
def test_the_file_finds_what_the_detector_finds(small, size):
    config, checkpoint, out = small
    image = draw_image(np.random.default_rng(size), size=size)[0][: size * 3 // 4]
    wanted = _detect(load_detector(config, checkpoint, 'cpu'), image)
    detector = Detector(out)
    assert len(detector.classes) == 80
    found = detector(image)
    # Weights are rounded, so that a few boxes near the threshold or one another may differ.
    assert len(wanted.scores) > 5
    for score, box, label in list(zip(wanted.scores, wanted.boxes, wanted.labels))[:5]:
        assert (
            (found.labels == label)
            & (np.abs(found.scores - score) < 0.02)
            & (np.abs(found.boxes - box).max(axis=1) < 2)
        ).any()


@pytest.mark.parametrize('kind', ['.bin', '.json'])
def test_a_file_without_those_beside_it_is_refused(small, kind, tmp_path):
    for suffix in {'.param', '.bin', '.json'} - {kind}:
        shutil.copy(small[2].with_suffix(suffix), tmp_path)
    with pytest.raises(UserError, match=f'small.param needs small{kind} beside it'):
        Detector(tmp_path / 'small.param')


@pytest.mark.parametrize(('content', 'words'), [('{', 'corrupt'), ('{}', 'not made by snv2 export')])
def test_a_description_that_is_invalid_is_refused(small, content, words, tmp_path):
    for suffix in ('.param', '.bin'):
        shutil.copy(small[2].with_suffix(suffix), tmp_path)
    (tmp_path / 'small.json').write_text(content)
    with pytest.raises(UserError, match=f'small.json .*{words}'):
        Detector(tmp_path / 'small.param')


def test_a_network_that_ncnn_cannot_read_is_refused_with_the_layer(small, tmp_path):
    for suffix in ('.bin', '.json'):
        shutil.copy(small[2].with_suffix(suffix), tmp_path)
    text = small[2].read_text().replace('ConvolutionDepthWise', 'NoSuchLayer')
    (tmp_path / 'small.param').write_text(text)
    with pytest.raises(UserError, match='cannot be read by ncnn: it has no layer NoSuchLayer'):
        Detector(tmp_path / 'small.param')


def test_the_description_has_all_that_another_program_needs(small):
    about = json.loads(small[2].with_suffix('.json').read_text())
    assert about['input']['size'] == [64, 64]
    assert about['selection']['iou_threshold'] == 0.6
    assert about['precision'] == 'fp16'
    assert len(about['classes']) == len(about['category_ids']) == 80


@pytest.mark.parametrize(('out', 'there'), [('d.param', 'd.xml'), ('d.xml', 'd.param'), ('d.param', 'd.json')])
def test_files_of_something_else_are_not_replaced(out, there, tmp_path):
    (tmp_path / there).write_text('mine')
    with pytest.raises(UserError, match=f'{there}.* Choose another name'):
        export_model('config.py', 'checkpoint.pth', tmp_path / out)
    assert (tmp_path / there).read_text() == 'mine'


@pytest.mark.parametrize(('out', 'precision'), [('d.param', 'int8')])
def test_a_precision_that_a_target_cannot_write_is_refused_with_those_that_it_can(out, precision, tmp_path):
    with pytest.raises(UserError, match=f'precision={precision} is not supported .*ncnn fp32 and fp16'):
        export_model('config.py', 'checkpoint.pth', tmp_path / out, precision=precision)
