import pytest

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.paper.reproduce.folder import claim, read_json, write_json

RUN = dict(row='coco_1.0x', weights=None)


@pytest.mark.parametrize('resume', [False, True])
def test_a_new_or_an_empty_folder_is_taken(tmp_path, resume):
    claim(tmp_path / 'new', RUN, resume)
    claim(tmp_path / 'new2' / 'below', RUN, resume)
    assert read_json(tmp_path / 'new' / 'run.json') == RUN


def test_the_same_run_goes_on_only_when_asked_to(tmp_path):
    claim(tmp_path / 'run', RUN, resume=False)
    with pytest.raises(UserError, match='holds a run of coco_1.0x already. Go on with it: `resume`'):
        claim(tmp_path / 'run', RUN, resume=False)
    claim(tmp_path / 'run', RUN, resume=True)


@pytest.mark.parametrize(('other', 'words'), [
    (RUN | dict(row='coco_0.5x'), 'row coco_1.0x, not coco_0.5x'),
    (RUN | dict(weights='a.pth'), 'weights None, not a.pth'),
])
@pytest.mark.parametrize('resume', [False, True])
def test_another_run_is_named_and_left_alone(tmp_path, other, words, resume):
    claim(tmp_path / 'run', RUN, resume=False)
    with pytest.raises(UserError, match=words):
        claim(tmp_path / 'run', other, resume)
    assert read_json(tmp_path / 'run' / 'run.json') == RUN


def test_other_files_are_left_alone(tmp_path):
    (tmp_path / 'photo.jpg').touch()
    with pytest.raises(UserError, match='holds other files'):
        claim(tmp_path, RUN, resume=True)


def test_a_half_written_file_counts_as_none(tmp_path):
    (tmp_path / 'metrics.json').write_text('{"coco/bbox_m')
    assert read_json(tmp_path / 'metrics.json') is None
    write_json(tmp_path / 'metrics.json', dict(a=1))
    assert read_json(tmp_path / 'metrics.json') == dict(a=1)
    assert [path.name for path in tmp_path.iterdir()] == ['metrics.json']
