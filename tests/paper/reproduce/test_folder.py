import pytest

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.paper.reproduce.folder import claim, read_json, write_json

RUN = dict(row='coco_1.0x', weights=None)


@pytest.mark.parametrize('resume', [False, True])
def test_a_new_folder_is_accepted(tmp_path, resume):
    claim(tmp_path / 'new', RUN, resume)
    claim(tmp_path / 'new2' / 'below', RUN, resume)
    assert read_json(tmp_path / 'new' / 'run.json') == RUN


def test_the_same_run_continues_only_with_resume(tmp_path):
    claim(tmp_path / 'run', RUN, resume=False)
    with pytest.raises(UserError, match='coco_1.0x.*`resume`'):
        claim(tmp_path / 'run', RUN, resume=False)
    claim(tmp_path / 'run', RUN, resume=True)


@pytest.mark.parametrize(
    ('other', 'words'),
    [
        (RUN | dict(row='coco_0.5x'), 'row coco_1.0x, not coco_0.5x'),
        (RUN | dict(weights='a.pth'), 'weights None, not a.pth'),
    ],
)
@pytest.mark.parametrize('resume', [False, True])
def test_another_run_is_reported_and_not_changed(tmp_path, other, words, resume):
    claim(tmp_path / 'run', RUN, resume=False)
    with pytest.raises(UserError, match=words):
        claim(tmp_path / 'run', other, resume)
    assert read_json(tmp_path / 'run' / 'run.json') == RUN


def test_a_folder_with_other_files_is_rejected(tmp_path):
    (tmp_path / 'photo.jpg').touch()
    with pytest.raises(UserError, match='other files'):
        claim(tmp_path, RUN, resume=True)


def test_an_incomplete_file_counts_as_missing(tmp_path):
    (tmp_path / 'metrics.json').write_text('{"coco/bbox_m')
    assert read_json(tmp_path / 'metrics.json') is None
    write_json(tmp_path / 'metrics.json', dict(a=1))
    assert read_json(tmp_path / 'metrics.json') == dict(a=1)
    assert [path.name for path in tmp_path.iterdir()] == ['metrics.json']
