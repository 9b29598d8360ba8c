"""Conversion of the network of an exported ONNX graph to half precision or 8-bit integers.

Normalization of the image and everything after the heads' last layers stay in single precision, so that no coordinate
is rounded. NMS does not shift boxes by label, which would overflow (:mod:`.heads.selection`).
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..utils.errors import UserError
from ..utils.images import files_below, read_image
from .resizing import Resize

if TYPE_CHECKING:
    import onnx

    from ..config.options import ExportOptions

__all__ = ['Layers', 'calibration_images', 'layers', 'write_half', 'write_int8', 'write_precision']

#: Maximum number of images for calibration; more change the ranges little.
CALIBRATION_IMAGES = 100


class Layers(NamedTuple):
    """Names of nodes in a graph."""

    #: Layers with weights: convolutions and linear layers.
    weighted: frozenset[str]
    #: Layers without a layer before them, and layers without one after them.
    first: frozenset[str]
    last: frozenset[str]
    #: Nodes after the last layers of a head: they decode and select boxes.
    selection: frozenset[str]


def layers(graph: onnx.GraphProto) -> Layers:
    """The layers of a detector's graph.

    A head ends at the graph's outputs, or at the proposals of a two-stage detector.
    """
    shapes = {one.name: tuple(one.dims) for one in graph.initializer}
    shapes |= {node.output[0]: tuple(node.attribute[0].t.dims) for node in graph.node if node.op_type == 'Constant'}
    weighted = frozenset(node.name for node in graph.node if _has_weights(node, shapes))
    made_by = {output: node for node in graph.node for output in node.output}
    last, selection = set[str](), set[str]()
    ends = [output.name for output in graph.output] + [
        name for name in made_by if name.split('/')[-1] in ('proposals', 'found_boxes')
    ]
    while ends:
        node = made_by.get(ends.pop())
        if node is None or node.name in selection or node.name in last:
            continue
        (last if node.name in weighted else selection).add(node.name)
        if node.name not in weighted:
            ends += node.input
    first, after = set[str](), set[str]()
    for node in graph.node:  # in the order of execution
        if after.intersection(node.input):
            after.update(node.output)
        elif node.name in weighted:
            first.add(node.name)
            after.update(node.output)
    return Layers(weighted, frozenset(first), frozenset(last), frozenset(selection))


def _has_weights(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> bool:
    shape = shapes.get(node.input[1]) if len(node.input) > 1 else None
    if node.op_type in ('Conv', 'ConvTranspose'):
        return shape is not None
    # A product with one column is the mean of a distribution, such as NanoDet's distances.
    return node.op_type in ('Gemm', 'MatMul') and shape is not None and len(shape) == 2 and min(shape) > 1


def calibration_images(folder: str | os.PathLike[str] | None) -> list[np.ndarray]:
    """Up to 100 images ``(H, W, 3)`` in a folder and its subfolders, evenly chosen.

    Args:
        folder: A folder of images, or a data set that contains its images.

    Raises:
        UserError: If the folder does not exist or has no images, or an image cannot be read.
    """
    paths = sorted(files_below(folder)) if folder is not None and Path(folder).is_dir() else []
    if not paths:
        found = '`data` is missing' if folder is None else f'data={folder} contains none'
        raise UserError(
            f'precision=int8 needs images for calibration: {found}. Set `data` to a folder with about 100 '
            f'images like those that the detector will process.'
        )
    chosen = [paths[index] for index in np.linspace(0, len(paths) - 1, min(len(paths), CALIBRATION_IMAGES)).astype(int)]
    return [read_image(path) for path in chosen]


def write_precision(source: Path, about: Mapping[str, str], out: Path, options: ExportOptions) -> None:
    """Write a graph in ``options.precision``; ``options.data`` is the folder of calibration images.

    ``about`` is the graph's metadata.
    """
    if options.precision == 'fp32':
        shutil.copyfile(source, out)
    elif options.precision == 'fp16':
        write_half(source, out)
    else:
        resized = Resize(**json.loads(about['resize']))
        images = [resized(image) for image in calibration_images(options.data)]
        write_int8(source, out, [np.stack([image] * options.batch) if options.batch > 1 else image for image in images])


def write_half(source: Path, out: Path) -> None:
    """Write a graph whose network computes in half precision."""
    import onnx
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    model = onnx.load(source)
    found = layers(model.graph)
    before = [node.name for node in model.graph.node if node.name not in _behind(model.graph, found)]
    half = convert_float_to_float16(
        model,
        keep_io_types=True,
        op_block_list=DEFAULT_OP_BLOCK_LIST,
        node_block_list=sorted({*found.selection, *before}),
    )
    _join(half.graph, {node.name for node in onnx.load(source).graph.node})
    onnx.save(half, out)


def _join(graph: onnx.GraphProto, own: set[str]) -> None:
    """Remove the casts to half precision that the converter inserts between two nodes in single precision.

    ``own`` are the names of the nodes before the conversion.
    """
    from onnx import TensorProto

    casts = {node.output[0]: node for node in graph.node if node.op_type == 'Cast' and node.name not in own}
    for node in casts.values():
        before = casts.get(node.input[0])
        if before and node.attribute[0].i == TensorProto.FLOAT and before.attribute[0].i == TensorProto.FLOAT16:
            node.op_type = 'Identity'
            del node.attribute[:]
            node.input[0] = before.input[0]


def _behind(graph: onnx.GraphProto, found: Layers) -> set[str]:
    """Names of the first layers and of all nodes after them."""
    names, values = set[str](), set[str]()
    for node in graph.node:
        if node.name in found.first or values.intersection(node.input):
            names.add(node.name)
            values.update(node.output)
    return names


def write_int8(source: Path, out: Path, images: Sequence[np.ndarray]) -> None:
    """Write a graph whose layers compute in 8-bit integers, except the first ones and the last ones of each head.

    Weights have one scale per output channel and 7 bits. With 8 bits, sums of products overflow on processors without
    VNNI, and results would depend on the processor.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Images(CalibrationDataReader):
        def __init__(self) -> None:
            self.images = iter(images)

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(self.images, None)
            return None if image is None else {'image': image}

    model = onnx.load(source)
    found = layers(model.graph)
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # it recommends a pre-processing of the graph that was done already
    try:
        quantize_static(
            model,
            out,
            Images(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=['Conv', 'Gemm', 'MatMul'],
            nodes_to_quantize=sorted(found.weighted - found.first - found.last),
        )
    finally:
        logging.disable(before)
    quantized = onnx.load(out)
    del quantized.metadata_props[:]
    onnx.helper.set_model_props(quantized, {entry.key: entry.value for entry in model.metadata_props})
    onnx.save(quantized, out)
