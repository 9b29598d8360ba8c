import shlex

import pytest


def test_printed_options_train_on_the_subset(tool, coco, tmp_path):
    root = tmp_path / 'coco'
    ended = tool('prepare_coco.py', '--root', root, '--subset', 4, '--seed', 3, '--base-url', coco.url)
    assert ended.status == 0, ended.err
    line = ended.out.strip().splitlines()[-1]
    assert line.startswith(f'snv2 train configs/faster_rcnn_snv2.py --data-root {root} --cfg-options ')
    # The categories are Shapes', and the config's are COCO's: data and options were read, and the images found.
    ended = tool('train.py', *shlex.split(line)[2:], '--work-dir', tmp_path / 'run')
    assert ended.status == 2
    assert 'instances_train2017_subset4_seed3.json has the categories' in ended.err


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--splits', 'test2017'], 'expected val2017 or train2017'),
        (['--from', 'nowhere.zip'], 'no such file or folder'),
        (['--base-url', 'ftp://x'], 'https://'),
    ],
)
def test_mistakes_are_reported_in_one_line(tool, coco, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    ended = tool('prepare_coco.py', '--base-url', coco.url, *arguments)
    assert ended.status == 2
    assert words in ended.err
    assert 'Traceback' not in ended.err
