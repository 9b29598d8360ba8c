"""A one-stage detector as a network with a fixed input size and without NMS, for runtimes that have no NMS."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import torch
from mmdet.models.dense_heads import YOLOXHead
from mmdet.models.dense_heads.gfl_head import Integral
from torch import Tensor, nn

from ..models.nanodet import NanoDetHead
from ..utils.errors import UserError
from .fixed_size import WITH_NMS, NetworkInput, Selection
from .graph import DetectionGraph
from .heads.dense import DenseHead, clips
from .heads.operators import traceable
from .heads.selection import Priors, suppressed
from .heads.stages import made_priors
from .onnx_graph import fold_constants, write_graph
from .resizing import Resize

__all__ = [
    'PriorsNetwork',
    'Surroundings',
    'check_network',
    'check_selection',
    'network_input',
    'surroundings',
    'write_network',
]

#: Largest difference of scores, of boxes in pixels, and of boxes in pixels per pixel of the input's longer side.
TOLERANCES = dict(fp32=(2e-4, 0.05, 5e-5), fp16=(0.02, 0.5, 5e-3))


class PriorsNetwork(nn.Module):
    """From the input ``(1, 3, H, W)`` to boxes ``(P, 4)``, scores ``(P, C)`` and factors ``(P,)`` of all priors.

    Args:
        graph: A detector with a one-stage head.
        target: Name of the export target, for messages.

    Raises:
        UserError: If it has another head.
    """

    graph: DetectionGraph

    def __init__(self, graph: DetectionGraph, target: str) -> None:
        super().__init__()
        if not isinstance(graph.detect, DenseHead):
            raise UserError(
                f'target={target} supports only one-stage detectors, got one with a '
                f'{type(graph.detect).__name__} head. {WITH_NMS}'
            )
        self.graph = deepcopy(graph)
        for module in list(self.graph.modules()):
            for name, child in module.named_children():
                if isinstance(child, Integral):
                    setattr(module, name, _Integral(child))

    def priors(self, x: Tensor) -> Priors:
        """The predictions of all priors."""
        with traceable():
            features = self.graph.backbone(x)
            if self.graph.neck is not None:
                features = self.graph.neck(features)
            head = self.graph.detect.head
            if isinstance(head, NanoDetHead):  # without a loop over images, which some runtimes cannot convert
                boxes, scores = head.decode(*head(features))
                return Priors(boxes, scores, None, [boxes.shape[1]])
            return self.graph.detect.priors(features)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Boxes, scores and, if there are any, factors."""
        return tuple(value for value in self.priors(x)[:3] if value is not None)

    def selection(self, counts: Sequence[int]) -> Selection:
        """The detector's selection of boxes; ``counts`` are the numbers of priors of each level."""
        cfg, head = self.graph.detect.cfg, self.graph.detect.head
        return Selection(
            tuple(map(int, counts)),
            cfg.get('nms_pre', -1),
            cfg.get('score_thr', 0),
            cfg.nms.iou_threshold,
            cfg.get('max_per_img', -1),
            cfg.get('min_bbox_size', -1),
            clips(head),
            isinstance(head, YOLOXHead),
        )


class _Integral(nn.Module):
    """mmdet's ``Integral`` with a linear layer instead of ``F.linear`` with a buffer."""

    def __init__(self, integral: Integral) -> None:
        super().__init__()
        self.bins = integral.reg_max + 1
        self.linear = nn.Linear(self.bins, 1, bias=False)
        self.linear.weight = nn.Parameter(integral.project[None].float())

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.reshape(-1, self.bins).softmax(dim=1)).reshape(-1, 4)


def network_input(graph: DetectionGraph, resize: Resize) -> NetworkInput:
    """The input of a network for images resized by ``resize``.

    If the aspect ratio is kept, the input is a square that fits portrait and landscape images.

    Raises:
        UserError: If the data preprocessor would pad the image after ``CenterPad``.
    """
    prepare = graph.prepare
    size: Any = prepare.center_pad.size if prepare.center_pad else resize.scale
    width, height = size
    if prepare.center_pad is None and resize.keep_ratio and not resize.fit:
        width = height = max(size)
    width, height = (-(-side // prepare.divisor) * prepare.divisor for side in (width, height))
    if prepare.center_pad and (width, height) != tuple(size):
        raise UserError(
            f'CenterPad(size={tuple(size)}) is not a multiple of pad_size_divisor={prepare.divisor}: set '
            f'one of them in the config. {WITH_NMS}'
        )
    border = prepare.border.flatten().tolist() if prepare.center_pad else [prepare.value] * 3
    return NetworkInput(
        (width, height),
        tuple(prepare.mean.flatten().tolist()),
        tuple(prepare.std.flatten().tolist()),
        prepare.channels[0].item() == 2,
        tuple(border),
        prepare.center_pad is not None,
    )


class Surroundings(NamedTuple):
    """A network, its pre- and post-processing, and an input."""

    network: PriorsNetwork
    prepare: NetworkInput
    selection: Selection
    #: ``(3, H, W)`` float32.
    x: np.ndarray
    #: Metadata of the detector.
    detector: dict[str, Any]

    def about(self, precision: str) -> dict[str, Any]:
        """Metadata of a file, to be written as JSON."""
        return self.detector | dict(
            precision=precision, input=self.prepare._asdict(), selection=self.selection._asdict()
        )


def _parsed(value: str) -> Any:
    try:
        return json.loads(value)
    except json.JSONDecodeError:  # the version
        return value


@torch.no_grad()
def surroundings(graph: DetectionGraph, image: Tensor, about: Mapping[str, str], target: str) -> Surroundings:
    """The network of a detector for an export target, with its pre- and post-processing.

    Args:
        graph, image, about: See :class:`.Program`.
        target: Name of the export target, for messages.

    Raises:
        UserError: If it has no one-stage head, or its input cannot have a fixed size.
    """
    network = PriorsNetwork(graph, target).eval()  # all modules: tracing restores the mode of the top one
    prepare = network_input(graph, Resize(**json.loads(about['resize'])))
    x = prepare(image.numpy())[0]
    selection = network.selection(network.priors(torch.from_numpy(x)[None]).counts)
    return Surroundings(network, prepare, selection, x, {key: _parsed(value) for key, value in about.items()})


@torch.no_grad()
def write_network(network: PriorsNetwork, x: np.ndarray, out: Path) -> None:
    """Write a network for inputs of the shape of ``x``, ``(3, H, W)``, as ONNX without dynamic axes."""
    example = torch.from_numpy(x)[None]
    names = ('boxes', 'scores', 'factors')[: len(network(example))]
    with TemporaryDirectory() as folder:
        traced = Path(folder, 'traced.onnx')
        write_graph(network, example, traced, dict(input={}), {name: {} for name in names})
        fold_constants(traced, out)


@torch.no_grad()
def check_network(
    network: PriorsNetwork,
    run: Callable[[np.ndarray], Sequence[np.ndarray]],
    x: np.ndarray,
    selection: Selection,
    precision: str,
) -> tuple[float, float]:
    """Compare an exported network with the PyTorch network, and its selection of boxes with the detector's.

    Args:
        network: The PyTorch network.
        run: Runs the exported network: from the input ``(3, H, W)`` to the outputs of ``network``.
        x: An input.
        selection: The selection of boxes.
        precision: Precision of the exported network.

    Returns:
        The largest difference of scores, and of boxes in pixels.

    Raises:
        UserError: If outputs differ by more than the tolerance.
    """
    score_limit, box_limit, share = TOLERANCES[precision]
    largest = dict(boxes=0.0, scores=0.0)
    for one in (x, x[..., ::-1].copy()):
        for name, got, wanted in zip(('boxes', 'scores', 'scores'), run(one), network(torch.from_numpy(one)[None])):
            difference = np.abs(got.ravel() - wanted.numpy().ravel())
            limit = box_limit + share * max(x.shape) if name == 'boxes' else score_limit
            if not difference.max(initial=0) <= limit:
                raise UserError(
                    f"The exported file's outputs do not match the detector's: {name} differ by up to "
                    f'{difference.max():.2g}, expected at most {limit:.2g}. The file was not written.'
                )
            largest[name] = max(largest[name], float(difference.max(initial=0)))
    check_selection(network, selection, torch.from_numpy(x)[None])
    return largest['scores'], largest['boxes']


def check_selection(network: PriorsNetwork, selection: Selection, x: Tensor) -> None:
    """Compare the selection with the detector's, for an input ``(1, 3, H, W)``.

    Both select among made-up boxes and scores that differ by more than rounding.

    Raises:
        UserError: If they select different boxes.
    """
    detect: Any = network.graph.detect
    size = torch.tensor(x.shape[:1:-1])
    priors = network.priors(x)
    priors = priors._replace(boxes=priors.boxes.reshape(-1, 4), scores=priors.scores.flatten(0, -2))
    for power in (1.0, 40.0):  # more candidates than nms_pre keeps, and fewer
        made = made_priors(priors, size, power)
        wanted = detect.candidates(made, size)
        factors = None if made.factors is None else made.factors.numpy()
        got = selection.candidates(made.boxes.numpy(), made.scores.numpy(), factors, size.numpy())
        _same(
            *(
                sorted(zip(*map(np.ndarray.tolist, reversed(columns))))
                for columns in (got, [column.numpy() for column in wanted])
            )
        )
        few = [column[:1000] for column in wanted]
        kept = suppressed(few[0], few[1], few[2], detect.cfg, detect.head.num_classes)
        _same(selection.suppressed(*(column.numpy() for column in few))[1].tolist(), kept[1].tolist())


def _same(got: Sequence[Any], wanted: Sequence[Any]) -> None:
    if got != wanted:
        raise UserError('The exported file does not select the same boxes as the detector. The file was not written.')
