"""ShuffleNet V2 in every family of MMDetection, with this package's operators: build, training step, prediction."""

from pathlib import Path

import mmdet
import pytest
import torch
from families import FAMILIES, family_model
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmdet.utils import register_all_modules
from mmengine.logging import MessageHub

register_all_modules()

#: Those that take longer than five seconds.
SLOW = {
    'ATSS, DyHead (modulated deformable)',
    'Cascade R-CNN',
    'Deformable DETR',
    'DINO',
    'Faster R-CNN, CARAFE FPN',
    'Grid R-CNN',
    'Mask R-CNN',
    'Sparse R-CNN',
}
DOCS = Path(__file__).parent.parent / 'docs' / 'detectors.md'


@pytest.mark.parametrize(
    'name', [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in FAMILIES]
)
def test_a_family_trains_a_step_and_predicts(name):
    torch.manual_seed(0)
    model = MODELS.build(family_model(name))
    model.init_weights()
    model.train()
    MessageHub.get_current_instance().update_info('epoch', 0)  # in a run, MMEngine's hooks tell it
    shape = [3, *FAMILIES[name].size]
    batch = demo_mm_inputs(2, [shape] * 2, num_classes=80, with_mask=FAMILIES[name].with_masks, use_box_type=True)
    losses = model.forward(**model.data_preprocessor(batch, True), mode='loss')
    total, _ = model.parse_losses(losses)
    assert total.isfinite()
    total.backward()
    for part in (model.backbone.conv1[0], list(getattr(model.backbone, model.backbone.part_names[-1]))[-1]):
        grads = [p.grad for p in part.parameters()]
        assert all(grad.isfinite().all() for grad in grads)
        assert sum(grad.abs().sum() for grad in grads) > 0
    model.eval()
    batch = demo_mm_inputs(1, [shape], num_classes=80, with_mask=FAMILIES[name].with_masks)
    with torch.no_grad():
        results = model.forward(**model.data_preprocessor(batch, False), mode='predict')
    found = results[0].pred_instances
    assert found.bboxes.shape == (len(found), 4)
    assert found.bboxes.isfinite().all()
    assert ((found.scores >= 0) & (found.scores <= 1)).all()


@pytest.mark.skipif(mmdet.__version__ != '3.3.0', reason='the table is of MMDetection 3.3.0')
def test_documents_list_supported_families_with_parameters():
    lines = DOCS.read_text().splitlines()
    for name, family in FAMILIES.items():
        parameters = sum(p.numel() for p in MODELS.build(family_model(name)).parameters())
        expected = f'| {name} | {parameters / 1e6:.2f}M |'
        assert any(line.startswith(expected) and family.config in line for line in lines), expected
