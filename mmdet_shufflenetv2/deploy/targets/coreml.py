"""Core ML: a ``.mlpackage``, converted by coremltools, with pre- and post-processing in its metadata.

Core ML is part of Apple's systems. On macOS the check runs the file and compares numbers, as for other targets. On
other systems it compares names and shapes of inputs and outputs.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...utils.errors import UserError
from ..fixed_size import WITH_NMS, surrounded
from .target import Loaded, Program, Target

if TYPE_CHECKING:
    from ...config.options import ExportOptions

__all__ = ['TARGET', 'description']

_OUTPUTS = ('boxes', 'scores', 'factors')


def _export(program: Program, out: Path, options: ExportOptions) -> tuple[float, float] | None:
    import torch

    from ..priors_network import check_network, check_selection, surroundings

    network, _, selection, x, _ = made = surroundings(*program[:3], 'coreml')
    example = torch.from_numpy(x)[None]
    with torch.no_grad():
        wanted = network(example)
        model = _converted(network, example, len(wanted), options.precision)
    if options.precision == 'int8':
        model = _with_int8_weights(model)
    for key, value in made.about(options.precision).items():
        model.user_defined_metadata[key] = value if isinstance(value, str) else json.dumps(value)
    model.save(str(out))
    inputs, outputs, _ = description(out)
    shapes = {name: tuple(value.shape) for name, value in zip(_OUTPUTS, wanted)}
    if (inputs, outputs) != (dict(input=tuple(example.shape)), shapes):
        raise UserError(
            f'The converted Core ML program has unexpected inputs or outputs: found {inputs} -> {outputs}, expected '
            f'{shapes}. {WITH_NMS}'
        )
    if TARGET.runs_here and options.precision == 'int8':
        check_selection(network, selection, example)
        return None  # numbers differ: the caller compares detections
    if TARGET.runs_here:
        run = _runner(_model(out))
        return check_network(network, run, x, selection, options.precision)
    check_selection(network, selection, example)
    return float('nan'), float('nan')


def _converted(network: Any, example: Any, outputs: int, precision: str) -> Any:
    import coremltools
    import torch

    try:
        with _quiet():
            # Frozen: otherwise coremltools confuses the property `graph` of a traced module with its submodule `graph`.
            trace: Any = torch.jit.trace  # PyTorch has no types for it
            traced = torch.jit.freeze(trace(network, example, check_trace=False).eval())
            return coremltools.convert(
                traced,
                inputs=[coremltools.TensorType('input', shape=example.shape)],
                outputs=[coremltools.TensorType(name, dtype=np.float32) for name in _OUTPUTS[:outputs]],
                minimum_deployment_target=coremltools.target.iOS15,
                skip_model_load=True,
                compute_precision=getattr(coremltools.precision, 'FLOAT32' if precision == 'fp32' else 'FLOAT16'),
            )
    except Exception as error:  # its frontends can raise anything
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f'coremltools cannot convert this detector: {said}. {WITH_NMS}') from error


def _with_int8_weights(model: Any) -> Any:
    """The model with weights in 8 bits and one scale per output channel; small weights stay in half precision."""
    from coremltools.optimize import coreml as optimize

    with _quiet():
        config = optimize.OptimizationConfig(optimize.OpLinearQuantizerConfig(granularity='per_channel'))
        return optimize.linear_quantize_weights(model, config)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide warnings of tracing and of untested versions, because the check is more reliable."""
    logger = logging.getLogger('coremltools')
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.setLevel(level)


def description(path: Path) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]], list[str]]:
    """Shapes of inputs and outputs of a ``.mlpackage``, and its operators in order; works on every system."""
    import coremltools

    spec = coremltools.utils.load_spec(str(path))
    inputs, outputs = (
        {one.name: tuple(one.type.multiArrayType.shape) for one in kind}
        for kind in (spec.description.input, spec.description.output)
    )
    blocks = spec.mlProgram.functions['main'].block_specializations
    return inputs, outputs, [operator.type for block in blocks.values() for operator in block.operations]


def _model(path: Path) -> Any:
    import coremltools

    try:
        with _quiet():
            return coremltools.models.MLModel(str(path))
    except Exception as error:  # coremltools' and the system's errors
        raise UserError(f'{path} cannot be read by Core ML: {str(error).splitlines()[0]}') from error


def _runner(model: Any) -> Any:
    def run(x: np.ndarray) -> list[np.ndarray]:
        found = model.predict({'input': x[None]})
        return [found[name] for name in _OUTPUTS if name in found]

    return run


def _load(path: Path, threads: int | None) -> Loaded:
    model = _model(path)
    about = dict(model.user_defined_metadata)
    if 'selection' not in about:
        return Loaded(lambda image: (), about)  # the caller reports missing metadata
    run = _runner(model)
    return Loaded(*surrounded(about, lambda x, _: run(x), path))


TARGET = Target(
    'coreml',
    ('.mlpackage',),
    'coreml',
    ('onnx', 'onnxruntime', 'coremltools'),
    ('coremltools',),
    1,
    _export,
    _load,
    ('fp32', 'fp16', 'int8'),
    calibrates=False,
    oldest=(('coremltools', '9.0'),),
    platform='darwin',
    writes_folder=True,
)
