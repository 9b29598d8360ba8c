"""Forms of a backbone to benchmark: torchvision's, mmpretrain's and ours, all with the same weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torchvision
from torch import nn

from ...checkpoints.shufflenet_layouts import LAYOUTS
from ...compat.private import IntermediateLayerGetter
from ...deploy import shuffle_free
from ...deploy.export import export_backbone
from ...deploy.targets import TARGETS
from ...models.backbones import ShuffleNetV2
from .runtimes import compiled, cuda_graph_call, graph_call, ncnn_call, no_grad_call
from .task import Contender, Task, UnavailableError

__all__ = ['backbone_contenders', 'our_backbone']


def backbone_contenders(task: Task) -> list[Contender]:
    """The forms of a backbone, those of other packages first."""
    contenders = [
        Contender('torchvision, eager', partial(_eager, task, _torchvisions)),
        Contender('mmpretrain, eager', partial(_eager, task, _mmpretrains)),
        Contender('ours, eager', partial(_eager, task, our_backbone)),
        Contender('ours, eager, channels_last', partial(_eager, task, our_backbone, channels_last=True)),
        Contender('ours, compiled', lambda: compiled(our_backbone(task), _input(task)), runs_when_built=True),
        Contender('shuffle-free, eager', partial(_eager, task, _shuffle_free), 'ours, eager'),
        Contender(
            'shuffle-free, eager, channels_last',
            partial(_eager, task, _shuffle_free, channels_last=True),
            'ours, eager, channels_last',
        ),
        Contender(
            'shuffle-free, compiled',
            lambda: compiled(_shuffle_free(task), _input(task)),
            'ours, compiled',
            runs_when_built=True,
        ),
    ]
    if task.device != 'cpu':
        contenders += [
            Contender(
                'ours, CUDA graph', lambda: cuda_graph_call(our_backbone(task), _input(task)), runs_when_built=True
            ),
            Contender(
                'shuffle-free, CUDA graph',
                lambda: cuda_graph_call(_shuffle_free(task), _input(task)),
                'ours, CUDA graph',
                runs_when_built=True,
            ),
        ]
    for runtime, block in (
        (target.name, target.block)
        for target in TARGETS.values()
        if '.onnx' in target.suffixes and not target.next_step
    ):
        plain = f'{runtime}, plain graph'
        contenders += [
            Contender(plain, partial(_graph, task, runtime, our_backbone)),
            Contender(
                f'{runtime}, shuffle-free', partial(_graph, task, runtime, partial(_shuffle_free, block=block)), plain
            ),
            Contender(
                f'{runtime}, shuffle-free, order left to the neck',
                partial(_graph, task, runtime, partial(_shuffle_free, block=block, restore_order=False)),
                plain,
            ),
        ]
    return [
        *contenders,
        Contender('ncnn, plain', lambda: ncnn_call(task, our_backbone(task), _input(task))),
        Contender(
            'ncnn, shuffle-free, order left to the neck',
            lambda: ncnn_call(task, _shuffle_free(task, restore_order=False), _input(task)),
            'ncnn, plain',
        ),
    ]


def _input(task: Task) -> torch.Tensor:
    return torch.rand(1, 3, task.height, task.width, generator=torch.Generator().manual_seed(0)).to(task.device)


def _torchvision_network(task: Task) -> nn.Module:
    """torchvision's network, whose weights all contenders share."""
    torch.manual_seed(0)
    return torchvision.models.get_model(f'shufflenet_v2_x{str(task.widen_factor).replace(".", "_")}')


def _torchvisions(task: Task) -> nn.Module:
    stages = IntermediateLayerGetter(_torchvision_network(task), {'stage2': '0', 'stage3': '1', 'stage4': '2'})
    return stages.eval().to(task.device)


def _mmpretrains(task: Task) -> nn.Module:
    try:
        from mmpretrain.models.backbones import ShuffleNetV2 as Theirs
    except Exception as error:  # it can raise anything on a newer PyTorch
        raise UnavailableError(f'mmpretrain cannot be imported ({str(error).splitlines()[0]})') from error
    model = Theirs(task.widen_factor, out_indices=(0, 1, 2))
    our_key = next(layout.our_key for layout in LAYOUTS if layout.name == 'mmpretrain')
    weights = _torchvision_network(task).state_dict()
    model.load_state_dict({key: weights[ours] for key in model.state_dict() if (ours := our_key(key))})
    model.eval()  # not chained: their eval() returns None
    return model.to(task.device)


def our_backbone(task: Task) -> ShuffleNetV2:
    """Our backbone with the weights that all contenders share."""
    backbone = ShuffleNetV2(task.widen_factor)
    weights = _torchvision_network(task).state_dict()
    backbone.load_state_dict({key: weights[key] for key in backbone.state_dict()})
    return backbone.eval().to(task.device)


def _shuffle_free(task: Task, block: int | None = 1, restore_order: bool = True) -> nn.Module:
    return shuffle_free(our_backbone(task), block=block or 1, restore_order=restore_order)


def _eager(task: Task, make: Callable[[Task], nn.Module], channels_last: bool = False) -> Callable[[], object]:
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    module, x = make(task).to(memory_format=memory_format), _input(task).contiguous(memory_format=memory_format)
    return no_grad_call(lambda: module(x))


def _graph(task: Task, runtime: str, make: Callable[[Task], nn.Module]) -> Callable[[], object]:
    on_cpu = task._replace(device='cpu')
    x = _input(on_cpu)
    return graph_call(task, runtime, lambda path: export_backbone(make(on_cpu), path, x), x.numpy())
