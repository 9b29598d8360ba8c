import pytest

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.paper.design_check.check import Checked, DesignCheck
from mmdet_shufflenetv2.paper.design_check.figure import draw
from mmdet_shufflenetv2.paper.design_check.latency import LatencyModel
from mmdet_shufflenetv2.paper.design_check.report import layers_markdown, sums_markdown
from mmdet_shufflenetv2.paper.design_check.violations import Violation
from mmdet_shufflenetv2.profiling.memory_access import Kind
from mmdet_shufflenetv2.profiling.timing import Timing
from mmdet_shufflenetv2.visualization import check_plot_file


@pytest.fixture
def checked():
    return Checked(
        'retinanet',
        'ResNet',
        4_000_000,
        dict(zip(Kind, (7_000_000, 2_000_000, 3_000_000, 2_000_000, 1_000_000), strict=True)),
        500_000,
        [
            Violation('conv1', 'G1', '7x7, 3 -> 64 channels', 250_000, 0.002),
            Violation('layer1.0', 'G3', '4 convolutions', 0, 1e-5),
            Violation('conv2', 'G1', '1x1, 64 -> 256 channels', 750_000, 0.001),
        ],
        0.02,
        Timing(0.025, 0.03, 0.125),
        dict(zip(Kind, (0.008, 0.002, 0.006, 0.002, 0.002), strict=True)),
    )


@pytest.fixture
def check(checked):
    return DesignCheck('AMD EPYC', 'cpu', 2, 320, 480, LatencyModel({}, 0.11), [checked, checked._replace(config='b')])


def test_each_violation_is_a_row(checked):
    lines = layers_markdown(checked).splitlines()
    assert lines[2] == '| conv1 | G1 | 7x7, 3 -> 64 channels | 250k | 2.000 ms |'
    assert lines[3] == '| layer1.0 | G3 | 4 convolutions |  | 0.010 ms |'


def test_violations_are_summed_by_guideline(check):
    text = sums_markdown(check)
    assert 'AMD EPYC, 2 threads, PyTorch; one image of 320x480 pixels' in text
    assert (
        '| retinanet | ResNet | 4M | 9.0M | 3.0M | 2.0M | 1.00M elements, 3.00 ms | none | 1 block, 0.01 ms '
        '| none | 20.0 ms | 25.0 ms | 12% |'
    ) in text
    assert text.count('\n| b |') == 1


def test_backbones_are_drawn_side_by_side(check, tmp_path):
    from PIL import Image

    draw(check, tmp_path / 'backbones.png')
    assert Image.open(tmp_path / 'backbones.png').size[0] > 1000


@pytest.mark.parametrize(('name', 'words'), [('backbones.doc', 'doc'), ('none/b.png', 'none')])
def test_a_figure_that_cannot_be_written_is_reported(tmp_path, name, words):
    with pytest.raises(UserError, match=words):
        check_plot_file(tmp_path / name, '--figure')
    check_plot_file(tmp_path / 'backbones.svg', '--figure')
