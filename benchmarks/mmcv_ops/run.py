"""Time this package's mmcv operators and compiled mmcv's alternately in one process.

    python benchmarks/mmcv_ops/run.py --compiled SITE_PACKAGES/mmcv/_ext.cpython-311-x86_64-linux-gnu.so

Without --compiled only this package's are timed. --device cuda uses a GPU (the file must be compiled for it).
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType

import torch
from torch import Tensor

import mmdet_shufflenetv2  # noqa: F401  (provides mmcv._ext)


def load_compiled(path: str) -> ModuleType:
    spec = spec_from_file_location('_ext', path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def boxes(count: int, device: str) -> Tensor:
    torch.manual_seed(0)
    corner = torch.rand(count, 2, device=device) * 1000
    return torch.cat((corner, corner + torch.rand(count, 2, device=device) * 200 + 8), dim=1)


def workloads(device: str) -> dict[str, Callable[[], object]]:
    from mmcv.ops import batched_nms, roi_align

    many, scores = boxes(3000, device), torch.rand(3000, device=device)
    classes = torch.randint(80, (3000,), device=device)
    features = torch.rand(1, 256, 200, 336, device=device, requires_grad=True)
    rois = torch.cat((torch.zeros(1000, 1, device=device), boxes(1000, device)), dim=1)
    out = roi_align(features, rois, 7, 0.25, 2)
    grad = torch.rand_like(out)
    return {
        'batched_nms, 3,000 boxes of 80 classes': lambda: batched_nms(
            many, scores, classes, dict(type='nms', iou_threshold=0.5)
        ),
        'roi_align, 1,000 RoIs, 256 channels': lambda: roi_align(features.detach(), rois, 7, 0.25, 2),
        'roi_align, forward and backward': lambda: torch.autograd.grad(
            roi_align(features, rois, 7, 0.25, 2), features, grad
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--compiled', metavar='FILE', help="a compiled mmcv's _ext, built for this PyTorch")
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--rounds', type=int, default=15)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    import mmcv._ext

    # The names in mmcv.ops are functions; their modules are in sys.modules only.
    import mmcv.ops

    modules = [sys.modules['mmcv.ops.nms'], sys.modules['mmcv.ops.roi_align']]
    extensions = {'served': mmcv._ext}
    if args.compiled:
        extensions['compiled'] = load_compiled(args.compiled)
    print(
        f'{platform.machine()}, {args.device}, {args.threads} threads, PyTorch {torch.__version__}; medians of '
        f'{args.rounds} alternating rounds\n\n| operator | '
        + ' | '.join(f'{name} (ms)' for name in extensions)
        + ' | served / compiled |\n| --- '
        + '| --- ' * (len(extensions) + 1)
        + '|'
    )
    for name, call in workloads(args.device).items():
        times: dict[str, list[float]] = {which: [] for which in extensions}
        for round_number in range(args.rounds + 2):
            for which, extension in extensions.items():
                for module in modules:
                    module.ext_module = extension
                start = time.perf_counter()
                call()
                if args.device != 'cpu':
                    torch.cuda.synchronize()
                if round_number >= 2:  # the first two warm up
                    times[which].append((time.perf_counter() - start) * 1e3)
        medians = [statistics.median(values) for values in times.values()]
        ratio = f'{medians[0] / medians[1]:.2f}' if len(medians) == 2 else ''
        print(f'| {name} | ' + ' | '.join(f'{m:.1f}' for m in medians) + f' | {ratio} |')


if __name__ == '__main__':
    main()
