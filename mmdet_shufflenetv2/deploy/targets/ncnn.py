"""ncnn: a ``.param`` with its ``.bin``, converted by pnnx, and a ``.json`` with pre- and post-processing."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from ...utils.errors import UserError
from ..fixed_size import WITH_NMS, Selection, surrounded
from ..ncnn_int8 import write_int8
from ..precision import calibration_images
from ..resizing import Resize
from .target import Loaded, Program, Target

if TYPE_CHECKING:
    from ...config.options import ExportOptions

__all__ = ['TARGET']

#: pnnx's names of inputs and outputs -> ours.
_BLOBS = dict(in0='input', out0='boxes', out1='scores', out2='factors')


def _export(program: Program, out: Path, options: ExportOptions) -> tuple[float, float] | None:
    import torch

    from ..priors_network import check_network, surroundings

    in_float = 'fp32' if options.precision == 'fp32' else 'fp16'  # precision of other layers than those in 8 bits
    network, _, selection, x, _ = made = surroundings(*program[:3], 'ncnn')
    with torch.no_grad():
        _convert(network, torch.from_numpy(x)[None], out, in_float)
    about = made.about(options.precision)
    out.with_suffix('.json').write_text(json.dumps(about, indent=1) + '\n', encoding='utf-8')
    net = _net(out, None, options.precision)
    differences = check_network(network, lambda one: _run(net, one, selection), x, selection, in_float)
    if options.precision != 'int8':
        return differences
    resized = Resize(**json.loads(program.about['resize']))
    write_int8(out, net, (made.prepare(resized(image))[0] for image in calibration_images(options.data)))
    return None


def _convert(network: Any, x: Any, out: Path, precision: str) -> None:
    """Write ``.param`` and ``.bin``."""
    import pnnx
    import torch

    with TemporaryDirectory() as folder:
        traced = Path(folder, 'traced.pt')
        trace: Any = torch.jit.trace  # untyped in PyTorch
        trace(network, x, check_trace=False).save(traced)
        done = subprocess.run(
            [
                pnnx.EXEC_PATH,
                traced.name,
                f'inputshape={list(x.shape)}'.replace(' ', ''),
                f'fp16={int(precision == "fp16")}',
            ],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        param, weights = (traced.with_suffix(f'.ncnn.{kind}') for kind in ('param', 'bin'))
        if not param.exists():
            said = (done.stderr.strip().splitlines() or ['no message'])[-1]
            raise UserError(f'pnnx cannot convert this detector (status {done.returncode}): {said}. {WITH_NMS}')
        out.write_text(re.sub(r'\b(in0|out[012])\b', lambda name: _BLOBS[name[0]], param.read_text()))
        out.with_suffix('.bin').write_bytes(weights.read_bytes())


def _net(path: Path, threads: int | None, precision: str) -> Any:
    import ncnn

    net = ncnn.Net()
    if threads is not None:
        net.opt.num_threads = threads
    if precision == 'fp32':
        net.opt.use_fp16_arithmetic = net.opt.use_fp16_packed = net.opt.use_fp16_storage = False
    if net.load_param(str(path)) != 0 or net.load_model(str(path.with_suffix('.bin'))) != 0:
        kinds = {line.split()[0] for line in path.read_text(errors='replace').splitlines()[2:] if line.strip()}
        unknown = sorted(kind for kind in kinds if ncnn.layer_to_index(kind) < 0)
        raise UserError(f'{path} cannot be read by ncnn{": it has no layer " if unknown else ""}{", ".join(unknown)}.')
    return net


def _run(net: Any, x: np.ndarray, selection: Selection) -> list[np.ndarray]:
    """Boxes ``(P, 4)``, scores ``(P, C)`` and, if there are any, factors ``(P,)``."""
    import ncnn

    extractor = net.create_extractor()
    extractor.input('input', ncnn.Mat(x).clone())  # a Mat of an array does not keep it alive
    priors = sum(selection.counts)
    outputs = [np.array(extractor.extract(name)[1]) for name in _BLOBS.values() if name in net.output_names()]
    return [one.reshape(priors, -1) if one.size > priors else one.ravel() for one in outputs]


def _load(path: Path, threads: int | None) -> Loaded:
    about_path = path.with_suffix('.json')
    if missing := [file.name for file in (path.with_suffix('.bin'), about_path) if not file.is_file()]:
        raise UserError(
            f'{path} needs {" and ".join(missing)} beside it. snv2 export writes .param, .bin and .json: '
            f'keep the three together.'
        )
    try:
        about = json.loads(about_path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise UserError(
            f'{about_path} was not made by snv2 export, or is corrupt: {error!r}. Export the detector again.'
        ) from error
    net = _net(path, threads, about.get('precision', 'fp32'))
    return Loaded(*surrounded(about, lambda x, selection: _run(net, x, selection), about_path))


TARGET = Target(
    'ncnn',
    ('.param',),
    'ncnn',
    ('onnx', 'onnxruntime', 'ncnn', 'pnnx'),
    ('ncnn',),
    1,
    _export,
    _load,
    ('fp32', 'fp16', 'int8'),
)
