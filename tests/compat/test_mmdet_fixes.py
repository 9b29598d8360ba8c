import json

import numpy as np
import pytest
from mmdet.registry import METRICS
from mmdet.utils import register_all_modules

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
