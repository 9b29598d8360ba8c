import json
import sys
from importlib.util import module_from_spec, spec_from_file_location

import mmcv.ops
import numpy as np
import pytest
from mmdet.registry import METRICS
from mmdet.utils import register_all_modules

from mmdet_shufflenetv2.compat.mmdet_fixes import replace_placeholders

register_all_modules()


@pytest.mark.parametrize('first_id', [0, 1])
def test_an_object_is_found_whatever_its_id(shapes_root, tmp_path, first_id):
    """Ground truth itself as detections."""
    content = json.loads((shapes_root / 'annotations' / 'instances_val2017.json').read_text())
    for number, annotation in enumerate(content['annotations'], start=first_id):
        annotation['id'] = number
    (tmp_path / 'a.json').write_text(json.dumps(content))
    metric = METRICS.build(dict(type='CocoMetric', ann_file=str(tmp_path / 'a.json')))
    metric.dataset_meta = dict(classes=tuple(category['name'] for category in content['categories']))
    for image in content['images']:
        of_it = [a for a in content['annotations'] if a['image_id'] == image['id']]
        x, y, w, h = np.array([a['bbox'] for a in of_it]).T
        found = dict(bboxes=np.stack((x, y, x + w, y + h), axis=1), scores=np.ones(len(of_it)),
                     labels=np.array([a['category_id'] - 1 for a in of_it]))
        metric.results.append((dict(width=image['width'], height=image['height'], img_id=image['id']),
                               dict(found, img_id=image['id'])))
    assert metric.evaluate(len(content['images']))['coco/bbox_mAP'] == 1


IMPORTED_EARLY = """
try:
    from mmcv.ops import DeformConv2d, batched_nms as suppress
except ImportError:
    class DeformConv2d:
        def __init__(self, *args):
            raise RuntimeError('reinstall')

    def suppress(*args):
        raise RuntimeError('reinstall')
"""


@pytest.fixture
def imported_early(tmp_path, monkeypatch):
    """Import text as a module ``mmdet.NAME`` while mmcv has no operators."""

    def load(name, text):
        (tmp_path / f'{name}.py').write_text(text)
        spec = spec_from_file_location(f'mmdet.{name}', tmp_path / f'{name}.py')
        module = module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        with monkeypatch.context() as without:
            without.setitem(sys.modules, 'mmcv.ops', None)
            spec.loader.exec_module(module)
        return module

    return load


def test_what_was_imported_without_operators_gets_them(imported_early):
    early = imported_early('early_head', IMPORTED_EARLY)
    user = imported_early('early_user', 'from mmdet.early_head import suppress as of_another')
    with pytest.raises(RuntimeError):
        user.of_another()
    replace_placeholders()
    assert early.DeformConv2d is mmcv.ops.DeformConv2d
    assert early.suppress is user.of_another is mmcv.ops.batched_nms


def test_what_is_derived_from_a_placeholder_is_refused_with_what_to_do(imported_early):
    imported_early('early_head', IMPORTED_EARLY + "\n\nclass Derived(DeformConv2d):\n    pass\n")
    with pytest.raises(ImportError, match='mmdet.early_head was imported before .* Import mmdet_shufflenetv2 first'):
        replace_placeholders()
