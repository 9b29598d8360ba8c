"""Training steps and backbones on each device, in each precision and memory format."""

import copy
from contextlib import contextmanager

import pytest
import torch
from conftest import DEVICES, ROOT
from mmdet.testing import demo_mm_inputs
from mmengine.optim import OptimWrapper, build_optim_wrapper

from mmdet_shufflenetv2.config.load import load_config
from mmdet_shufflenetv2.models.backbones import ShuffleNetV2
from mmdet_shufflenetv2.models.build import build_model
from mmdet_shufflenetv2.training.fault_tolerance.randomness import seed_all

#: Thin detectors: processors without bfloat16 compute in it a hundred times as slowly.
_THIN = {'model.backbone.widen_factor': 0.5, 'model.neck.in_channels': [48, 96, 192]}
DETECTORS = {
    'Faster R-CNN': ('faster_rcnn_snv2_shapes.py', {**_THIN, 'model.roi_head.bbox_head.fc_out_channels': 32}),
    'RetinaNet': (
        'retinanet_snv2_0.5x.py',
        {
            'model.neck.out_channels': 16,
            'model.bbox_head.in_channels': 16,
            'model.bbox_head.feat_channels': 16,
            'model.bbox_head.stacked_convs': 1,
            'model.bbox_head.num_classes': 5,
        },
    ),
    'Light-Head R-CNN': (
        'light_head_rcnn_snv2_shapes.py',
        {
            'model.backbone.widen_factor': 0.5,
            'model.neck.in_channels': 192,
            'model.neck.kernel_size': 3,
            'model.neck.mid_channels': 16,
            'model.rpn_head.in_channels': 96,
            'model.roi_head.bbox_head.fc_out_channels': 32,
        },
    ),
    'NanoDet-m': ('nanodet_m_snv2_shapes.py', _THIN),
    'NanoDet-Plus': (
        'nanodet_plus_m_snv2_shapes.py',
        {**_THIN, 'model.train_cfg.assign_guidance.stacked_convs': 1},
    ),
}
PRECISIONS = [
    ('cpu', 'bfloat16'),
    pytest.param('cuda', 'bfloat16', marks=pytest.mark.gpu),
    pytest.param('cuda', 'float16', marks=pytest.mark.gpu),
]
STEPS = {'cpu': 2, 'cuda': 10}


class AutocastOnCPU(OptimWrapper):
    """What MMEngine's AmpOptimWrapper, which needs a GPU, does in bfloat16."""

    @contextmanager
    def optim_context(self, model):
        with super().optim_context(model), torch.autocast('cpu', torch.bfloat16):
            yield


def train_steps(name: str, device: str, dtype: str | None, steps: int) -> list[float]:
    """Losses of a detector's first steps, on the same noise; without a dtype in float32."""
    config, options = DETECTORS[name]
    cfg = load_config(ROOT / 'configs' / config, {**options, 'model.backbone.norm_eval': False})
    seed_all(0)
    model = build_model(cfg.model, for_training=True)
    model.init_weights()
    model.to(device).train()
    batch = demo_mm_inputs(2, [(3, 96, 96)] * 2, num_items=[3, 3], num_classes=5)
    optimizer_cfg = cfg.optim_wrapper.copy()
    if dtype:
        optimizer_cfg.update(
            dict(type='AmpOptimWrapper', dtype=dtype) if device == 'cuda' else dict(type=AutocastOnCPU)
        )
    optimizer = build_optim_wrapper(model, optimizer_cfg)
    dtypes = set()
    model.backbone.register_forward_hook(lambda module, inputs, outputs: dtypes.add(outputs[-1].dtype))
    losses = []
    for _ in range(steps):
        seed_all(1)
        losses.append(float(model.train_step(copy.deepcopy(batch), optimizer)['loss']))
    assert dtypes == {getattr(torch, dtype or 'float32')}
    return losses


@pytest.mark.parametrize(('device', 'dtype'), PRECISIONS)
@pytest.mark.parametrize('name', DETECTORS)
def test_half_precision_losses_are_finite_and_close_to_float32(name, device, dtype):
    losses = train_steps(name, device, dtype, STEPS[device])
    assert torch.tensor(losses).isfinite().all(), losses
    # What R-CNN's second stage and NanoDet-Plus learn from depends on predictions, and so on rounding.
    near = 0.05 if name in ('RetinaNet', 'NanoDet-m') else 0.2
    assert losses[0] == pytest.approx(*train_steps(name, device, None, 1), rel=near)
    assert len(set(losses)) == len(losses), 'the weights do not change'


def features_and_gradients(backbone, call, x):
    """Outputs, and the gradients of the weights of the sum of their squares."""
    backbone.zero_grad()
    outputs = call(x)
    sum(output.square().sum() for output in outputs).backward()
    return [*(output.detach() for output in outputs), *(parameter.grad for parameter in backbone.parameters())]


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('form', ['channels_last', 'compiled'])
def test_backbone_forms_match_features_and_gradients(form, device):
    torch.manual_seed(0)
    few = form == 'compiled' and device == 'cpu'  # tracing all stages takes 20 seconds
    backbone = ShuffleNetV2(widen_factor=0.5, out_indices=(0, 1) if few else (1, 2, 3)).to(device).double().train()
    x = torch.rand(2, 3, 64, 96, device=device, dtype=torch.float64)
    expected = features_and_gradients(backbone, backbone, x)
    if form == 'channels_last':
        call, x = backbone.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    else:  # on the CPU without generating code, which takes a minute
        call = torch.compile(backbone, backend='inductor' if device == 'cuda' else 'aot_eager')
    got = features_and_gradients(backbone, call, x)
    torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-6)
