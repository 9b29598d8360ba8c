import contextlib
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.evaluation.error_report import analyze


@pytest.fixture
def files(shapes_root, tmp_path, monkeypatch):
    """Results for Shapes: its own boxes, moved by up to four pixels, one in three of another class or left out."""
    monkeypatch.chdir(tmp_path)
    annotations = shapes_root / 'annotations' / 'instances_val2017.json'
    rng = np.random.default_rng(0)
    results = [
        dict(
            image_id=one['image_id'],
            category_id=one['category_id'] if rng.random() < 0.8 else 1,
            bbox=list(np.array(one['bbox']) + rng.uniform(-4, 4, 4)),
            score=rng.uniform(0.2, 1),
        )
        for one in json.loads(annotations.read_text())['annotations']
        if rng.random() < 0.8
    ]
    (tmp_path / 'r.json').write_text(json.dumps(results))
    return annotations, shapes_root / 'val2017'


def test_report_matches_pycocotools(files):
    annotations, images = files
    scores = analyze('r.json', annotations, images, 'report.html')
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(annotations)
        evaluation = COCOeval(truth, truth.loadRes('r.json'), 'bbox')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    sizes = [value for one in scores.sizes for value in (one.ap, one.recall)]
    expected = [*evaluation.stats[:3], evaluation.stats[8], *evaluation.stats[[3, 9, 4, 10, 5, 11]]]
    for ours, theirs in zip([scores.ap, scores.ap50, scores.ap75, scores.recall, *sizes], expected):
        assert ours == pytest.approx(theirs, abs=1e-12) or (np.isnan(ours) and theirs == -1)
    page = Path('report.html').read_text()
    assert f'<b>{scores.ap:.3f}</b>mmAP' in page


def test_report_has_no_external_files(files):
    analyze('r.json', *files, 'report.html', worst=5)
    page = Path('report.html').read_text()
    addresses = re.findall(r'(?:src|href)\s*=\s*["\']([^"\']*)|url\(([^)]*)|@import', page)
    assert len(addresses) == sum(min(5, int(count)) for count in re.findall(r'<h2>The \w+ of (\d+)', page)) > 5
    assert all(address.startswith('data:image/jpeg;base64,') for address, _ in addresses)
    assert '<script' not in page


def test_class_names_are_escaped(files, tmp_path):
    annotations = json.loads(files[0].read_text())
    annotations['categories'][0]['name'] = '<script>alert(1)</script>'
    (tmp_path / 'a.json').write_text(json.dumps(annotations))
    analyze('r.json', 'a.json', files[1], 'report.html')
    assert '<script' not in Path('report.html').read_text()


def test_invalid_unicode_in_names_is_replaced(files, tmp_path):
    annotations = json.loads(files[0].read_text())
    annotations['categories'][0]['name'] = 'half \ud800'
    (tmp_path / 'a.json').write_text(json.dumps(annotations))
    analyze('r.json', 'a.json', files[1], 'report.html')
    assert 'half ?' in Path('report.html').read_text(encoding='utf-8')


def test_accepts_annotations_without_area_and_crowds(files, tmp_path):
    annotations = json.loads(files[0].read_text())
    for one in annotations['annotations']:
        del one['area'], one['iscrowd']
    (tmp_path / 'a.json').write_text(json.dumps(annotations))
    assert analyze('r.json', 'a.json', files[1], 'b.html').ap == pytest.approx(
        analyze('r.json', *files, 'a.html').ap, abs=1e-9
    )


def write(content):
    Path('r.json').write_text(content)


def results(change):
    content = json.loads(Path('r.json').read_text())
    change(content)
    write(json.dumps(content))


@pytest.mark.parametrize(
    ('damage', 'words'),
    [
        (lambda: dict(results='nowhere.json'), 'Results file not found: nowhere.json'),
        (lambda: dict(annotations='nowhere.json'), 'ann=nowhere.json: file not found'),
        (lambda: dict(images='nowhere'), 'images=nowhere is not a folder'),
        (lambda: dict(images='.'), 'Image not found: .*jpg. Set `images`'),
        (lambda: dict(out='report.pdf'), 'suffix .html'),
        (lambda: dict(score_thr=30), 'score_thr=30'),
        (lambda: dict(worst=-1), 'worst=-1'),
        (lambda: dict(annotations='r.json'), 'it looks like results'),
        (lambda: dict(results='.'), 'is a folder'),
        (lambda: write('[{'), 'is not JSON'),
        (lambda: write('[]'), 'contains no detections'),
        (lambda: write('{"images": []}'), 'It looks like annotations: name them with `ann`'),
        (lambda: results(lambda r: r[2].pop('score')), 'entry 2 is not a detection'),
        (lambda: results(lambda r: r[0].update(bbox=[1, 2, 3])), 'entry 0 is not a detection'),
        (lambda: results(lambda r: r[0].update(image_id=999)), 'values of its image_id, such as 999'),
        (lambda: results(lambda r: r[0].update(category_id=77)), 'values of its category_id, such as 77'),
    ],
)
def test_mismatched_inputs_are_reported_in_one_line(files, damage, words):
    annotations, images = files
    changed = damage() or {}
    with pytest.raises(UserError, match=words) as error:
        analyze(**dict(results='r.json', annotations=annotations, images=images, out='report.html') | changed)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize('box', [[5000, 5000, 0, 0], [1e308, 5, 5, 5], [2**63, 5, 5, 5]])
def test_draws_a_box_outside_the_image(files, box):
    results(lambda r: r.append(dict(image_id=1, category_id=1, bbox=box, score=1.0)))
    analyze('r.json', *files, 'report.html')
    assert 'circle 1.00: nothing there' in Path('report.html').read_text()
