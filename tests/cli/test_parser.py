import pytest

from mmdet_shufflenetv2.cli.parser import parse
from mmdet_shufflenetv2.config.options import (
    BenchmarkOptions,
    DesignCheckOptions,
    EvaluateOptions,
    PredictOptions,
    TrainOptions,
)


@pytest.mark.parametrize(
    ('options', 'typed', 'asked'),
    [
        (BenchmarkOptions, '', BenchmarkOptions()),
        (
            BenchmarkOptions,
            '--shape 800 1344 --shape 320 320 --config a.py --config b.py',
            BenchmarkOptions(shape=[[800, 1344], [320, 320]], config=['a.py', 'b.py']),
        ),
        (BenchmarkOptions, '--skip ncnn compiled', BenchmarkOptions(skip=['ncnn', 'compiled'])),
        (DesignCheckOptions, 'a.py b.py --shape 32 64', DesignCheckOptions(['a.py', 'b.py'], shape=[32, 64])),
        (TrainOptions, 'a.py --resume', TrainOptions('a.py', resume='auto')),
        (
            TrainOptions,
            'a.py --resume b.pth --epochs 3 --amp',
            TrainOptions('a.py', resume='b.pth', epochs=3, amp=True),
        ),
        (
            TrainOptions,
            'a.py --cfg-options a.b=3 c=x --cfg-options d=[1,2]',
            TrainOptions('a.py', cfg_options={'a.b': 3, 'c': 'x', 'd': [1, 2]}),
        ),
        (EvaluateOptions, 'a.pth', EvaluateOptions(None, 'a.pth')),
        (EvaluateOptions, 'a.py a.pth', EvaluateOptions('a.py', 'a.pth')),
        (
            PredictOptions,
            'a.py a.pth x.jpg y.jpg --save yolo csv',
            PredictOptions('a.py', 'a.pth', ['x.jpg', 'y.jpg'], save=['yolo', 'csv']),
        ),
    ],
)
def test_command_line_and_python_give_the_same_options(options, typed, asked):
    assert parse(options, typed.split(), 'snv2') == asked
