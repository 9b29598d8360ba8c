"""TensorRT: an ONNX file without NMS and without dynamic axes, from which ``trtexec`` builds an engine.

The file sets the precision: TensorRT 11 computes each operator in its type in the file. The file also runs in
onnxruntime, which the check uses.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ...utils.errors import UserError
from ..fixed_size import WITH_NMS
from . import onnxruntime
from .target import Program, Target

if TYPE_CHECKING:
    from ...config.options import ExportOptions

__all__ = ['OPERATORS', 'TARGET']

#: Operators that TensorRT's parser supports, among those of one-stage detectors: from the table of TensorRT 8.5, the
#: first for opset 17. https://github.com/onnx/onnx-tensorrt/blob/release/8.5-GA/docs/operators.md
_TABLE = """
    Add And AveragePool BatchNormalization Cast Ceil Clip Concat Constant ConstantOfShape Conv ConvTranspose Cos Div Elu
    Equal Erf Exp Expand Flatten Floor Gather GatherElements GatherND Gemm GlobalAveragePool GlobalMaxPool Greater
    GreaterOrEqual GridSample HardSigmoid HardSwish Identity InstanceNormalization LeakyRelu Less LessOrEqual Log MatMul
    Max MaxPool Mean Min Mod Mul Neg Not Or Pad Pow PRelu Range Reciprocal ReduceMax ReduceMean ReduceMin ReduceProd
    ReduceSum Relu Reshape Resize Round ScatterElements ScatterND Shape Sigmoid Sign Sin Slice Softmax Softplus Split
    Sqrt Squeeze Sub Sum Tanh Tile TopK Transpose Unsqueeze Where"""
OPERATORS = frozenset(_TABLE.split())


def _export(program: Program, out: Path, options: ExportOptions) -> tuple[float, float]:
    import onnx

    from ..priors_network import check_network, surroundings, write_network

    network, _, selection, x, _ = made = surroundings(*program[:3], 'tensorrt')
    with TemporaryDirectory() as folder:
        write_network(network, x, path := Path(folder, 'network.onnx'))
        graph = onnx.load(path)
    if unknown := sorted({node.op_type for node in graph.graph.node} - OPERATORS):
        raise UserError(f'target=tensorrt does not support {", ".join(unknown)} of this detector. {WITH_NMS}')
    if options.precision == 'fp16':
        from onnxruntime.transformers.float16 import convert_float_to_float16

        graph = convert_float_to_float16(graph, keep_io_types=True)
    about = made.about(options.precision)
    onnx.helper.set_model_props(
        graph, {key: value if isinstance(value, str) else json.dumps(value) for key, value in about.items()}
    )
    onnx.save(graph, out)
    session = onnxruntime.session(out)
    return check_network(network, lambda one: session.run(None, {'input': one[None]}), x, selection, options.precision)


TARGET = Target(
    'tensorrt',
    ('.onnx',),
    'tensorrt',
    ('onnx', 'onnxruntime'),
    ('onnxruntime',),
    1,
    _export,
    onnxruntime.TARGET.load,
    ('fp32', 'fp16'),
    next_step='trtexec --onnx={path} --saveEngine={stem}.engine',
)
