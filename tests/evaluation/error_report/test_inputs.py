import copy
import json
import random

import pytest
from mutator import mutate

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.evaluation.error_report import analyze
from mmdet_shufflenetv2.evaluation.error_report.inputs import read_annotations, read_results
from mmdet_shufflenetv2.evaluation.evaluation_data import EvaluationData, images_digest, write_note


@pytest.fixture
def content(shapes_root):
    return json.loads((shapes_root / 'annotations' / 'instances_val2017.json').read_text())


@pytest.fixture
def perfect(content):
    """Results as tools/infer.py writes them."""
    return [
        dict(
            image_id=one['image_id'],
            category_id=one['category_id'],
            bbox=one['bbox'],
            score=0.9,
            file_name=f'{one["image_id"]:012d}.jpg',
            category='star',
        )
        for one in content['annotations']
    ]


def write(path, content):
    path.write_text(json.dumps(content))
    return path


def test_missing_optional_fields_are_added(content, shapes_root, tmp_path):
    bare = copy.deepcopy(content)
    for image in bare['images']:
        del image['width'], image['height']
    for annotation in bare['annotations']:
        del annotation['area'], annotation['iscrowd']
    read = read_annotations(write(tmp_path / 'a.json', bare), shapes_root / 'val2017')
    for one in content['annotations']:  # what is filled in is the area of the box
        one['area'] = one['bbox'][2] * one['bbox'][3]
    assert read == content


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (lambda c: c['images'].append(5), 'an entry is not a JSON object (image 6 is 5; 1 in total)'),
        (lambda c: c['annotations'].insert(0, None), 'an entry is not a JSON object (annotation 0 is None'),
        (lambda c: c['images'][0].pop('file_name'), 'a field is missing (image 0: file_name'),
        (lambda c: c['images'][0].pop('id'), 'a field is missing (image 0: id'),
        (lambda c: c['categories'][0].pop('id'), 'a field is missing (category 0: id'),
        (lambda c: c['categories'][0].pop('name'), 'a field is missing (category 0: name'),
        (lambda c: c['annotations'][0].pop('image_id'), 'a field is missing (annotation 0: image_id'),
        (lambda c: c['annotations'][0].pop('bbox'), 'a field is missing (annotation 0: bbox'),
        (lambda c: c['annotations'][0].update(category_id=[]), 'category_id is a list of 0'),
        (lambda c: c['annotations'][0].update(bbox=[1, 2, 10**400, 4]), 'a box contains NaN or infinity'),
        (lambda c: c['images'][0].update(file_name='../secret.jpg'), 'a file name points outside the image folder'),
        (lambda c: c.pop('images'), 'has no list "images"'),
    ],
)
def test_invalid_annotations_are_reported_in_two_lines(content, tmp_path, change, words):
    change(content)
    path = write(tmp_path / 'a.json', content)
    with pytest.raises(UserError) as error:
        read_annotations(path, tmp_path)
    assert str(error.value).startswith(str(path))
    assert words in str(error.value)
    assert len(str(error.value).splitlines()) <= 2


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (lambda _: 5, 'is not a list of detections. To write one: snv2 eval'),
        (lambda _: None, 'is not a list of detections. To write one: snv2 eval'),
        (lambda r: [*r[:3], 5], 'entry 3 is not a detection with image_id'),
        (lambda r: [dict(r[0], score='high')], 'entry 0 is not a detection with image_id'),
        (lambda r: [dict(r[0], score=float('nan'))], 'entry 0 is not a detection with image_id'),
        (lambda r: [dict(r[0], image_id=[1])], 'entry 0 is not a detection with image_id'),
        (lambda r: [dict(r[0], category_id={})], 'entry 0 is not a detection with image_id'),
        (lambda r: [dict(r[0], category_id='1')], 'entry 0 is not a detection with image_id'),
        (lambda r: [dict(r[0], bbox=[1, 2, 10**400, 4])], 'entry 0 is not a detection with image_id'),
    ],
)
def test_invalid_results_are_reported_in_one_line(content, perfect, tmp_path, change, words):
    path = write(tmp_path / 'r.json', change(perfect))
    with pytest.raises(UserError) as error:
        read_results(path, content)
    assert str(error.value).startswith(str(path))
    assert words in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize('damaged', ['annotations', 'results'])
def test_mutated_files_give_a_report_or_an_error(content, perfect, shapes_root, tmp_path, damaged):
    rng, refused, count = random.Random(0), 0, 60
    for _ in range(count):
        mutated = copy.deepcopy(dict(annotations=content, results=perfect))
        mutate(mutated[damaged], rng)
        for name, changed in mutated.items():
            write(tmp_path / f'{name}.json', changed)
        said = outcome(tmp_path, shapes_root / 'val2017')
        assert len(said) <= 2
        refused += bool(said)
    assert 10 < refused < count


def outcome(folder, images):
    """The lines of the error; none for a report."""
    try:
        analyze(folder / 'results.json', folder / 'annotations.json', images, folder / 'report.html')
    except UserError as error:
        return str(error).splitlines()
    return []


@pytest.mark.parametrize('noted', [True, False], ids=['a note beside them', 'names in them'])
def test_rejects_results_of_other_images_with_the_same_ids(content, perfect, shapes_root, tmp_path, noted):
    others = copy.deepcopy(content)
    for image in others['images']:
        image['file_name'] = f'other_{image["file_name"]}'
    if noted:
        for one in perfect:
            del one['file_name']
        data = EvaluationData('val', 'right.json', str(tmp_path), len(content['images']), 1, images_digest(content))
        write_note(tmp_path / 'r.json', data)
    write(tmp_path / 'r.json', perfect)
    assert read_results(tmp_path / 'r.json', content) == perfect
    words = 'has results for the 6 images of right.json' if noted else 'does not belong to these annotations'
    with pytest.raises(UserError, match=words):
        read_results(tmp_path / 'r.json', others)


def test_without_a_note_the_data_are_required(perfect, shapes_root, tmp_path):
    write(tmp_path / 'r.json', perfect)
    with pytest.raises(UserError, match='Name them: ann=FILE images=DIR'):
        analyze(tmp_path / 'r.json', out=tmp_path / 'report.html')
    with pytest.raises(UserError, match='Name them: images=DIR'):
        analyze(tmp_path / 'r.json', shapes_root / 'annotations' / 'instances_val2017.json', out='report.html')
