from dataclasses import dataclass

import pytest

from mmdet_shufflenetv2.config.options import (
    BenchmarkOptions,
    CheckDataOptions,
    DownloadOptions,
    ExportOptions,
    PredictOptions,
    ReproduceOptions,
    TrainOptions,
)
from mmdet_shufflenetv2.utils.options import argument, in_flags, in_words, option, speaking_flags, takes_options


@dataclass(frozen=True)
class Options:
    source: str = argument('what')
    times: int = option(1, 'how often')


@takes_options(Options)
def repeat(options):
    return options.source * options.times


def test_a_function_takes_an_options_object_or_its_fields():
    assert repeat('ab', times=2) == repeat(Options('ab', times=2)) == 'abab'
    with pytest.raises(TypeError, match='tims'):
        repeat('ab', tims=2)


@pytest.mark.parametrize(
    ('options', 'message', 'said'),
    [
        (TrainOptions, 'epochs=-1: expected a positive number.', '--epochs -1: expected a positive number.'),
        (TrainOptions, 'leave out `data_root`, or `data`', 'leave out --data-root, or --data'),
        (TrainOptions, 'amp=True needs a GPU', '--amp needs a GPU'),
        (TrainOptions, 'more with max_broken_images=N', 'more with --max-broken-images N'),
        (
            TrainOptions,
            'Leave out `resume`: `cfg_options` load_from=a',
            'Leave out --resume: --cfg-options load_from=a',
        ),
        (TrainOptions, '`no_python_config` takes JSON', '--no-python-config takes JSON'),
        (PredictOptions, '`no_python_config` takes JSON', '--no-python-config takes JSON'),
        (DownloadOptions, 'source=x.zip: not a COCO file', '--from x.zip: not a COCO file'),
        (ExportOptions, 'target=tflite is unknown', '--target tflite is unknown'),
        (ReproduceOptions, 'has no row `star` `se`', 'has no row --star --se'),
        # A positional argument has no flag.
        (CheckDataOptions, 'source=fish: not found', 'fish: not found'),
        (ExportOptions, '`out`: cannot create the folder a', 'OUT: cannot create the folder a'),
        # Empty values stay visible.
        (TrainOptions, 'data=: folder not found.', "--data '': folder not found."),
        (TrainOptions, 'data_root= is not a folder.', "--data-root '' is not a folder."),
        (BenchmarkOptions, 'skip=, leaves nothing', '--skip , leaves nothing'),
        # Text that only looks like an argument.
        (TrainOptions, 'File not found: /runs/data=3/lr=1/x.json', 'File not found: /runs/data=3/lr=1/x.json'),
        (TrainOptions, 'train_dataloader.data=3', 'train_dataloader.data=3'),
        (TrainOptions, 'my_data=3 and metadata=4 and --data=5', 'my_data=3 and metadata=4 and --data=5'),
        (TrainOptions, 'Resize(data=3)', 'Resize(data=3)'),
        (TrainOptions, 'dict(lr=0.1)', 'dict(lr=0.1)'),
        (TrainOptions, '`work` and `epoch` and epochs', '`work` and `epoch` and epochs'),
        (PredictOptions, '`epochs` of the run', '`epochs` of the run'),
        (TrainOptions, 'amp=Truely', '--amp Truely'),
    ],
)
def test_arguments_in_an_error_become_flags(options, message, said):
    assert in_flags(message, options) == said


@pytest.mark.parametrize(
    ('typed', 'message', 'said'),
    [
        (['--cfg-options', 'data=3'], '`cfg_options` data=3: not found.', '--cfg-options data=3: not found.'),
        (['--data', 'my epochs=3/a'], 'data=my epochs=3/a: not found.', '--data my epochs=3/a: not found.'),
        (['--data=my epochs=3'], 'data=my epochs=3/images is empty.', '--data my epochs=3/images is empty.'),
        (['--data', '`lr`'], 'data=`lr`: not found.', '--data `lr`: not found.'),
        (['data=1.py'], 'Config not found: data=1.py.', 'Config not found: data=1.py.'),
        (['data=1.py', '--epochs', '0'], 'data=1.py: epochs=0', 'data=1.py: --epochs 0'),
    ],
)
def test_typed_arguments_stay_unchanged(typed, message, said):
    assert in_flags(message, TrainOptions, typed) == said


def test_messages_are_in_flags_only_while_a_command_runs():
    with speaking_flags(TrainOptions, ['--lr', 'x']):
        assert in_words('lr=x') == '--lr x'
    assert in_words('lr=x') == 'lr=x'
