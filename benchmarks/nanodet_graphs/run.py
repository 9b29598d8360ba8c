"""mmAP and latency of NanoDets exported by ``snv2 export``, in onnxruntime and OpenVINO, in float32 and int8.

    python benchmarks/nanodet_graphs/run.py nanodet_m.onnx nanodet_plus_m.onnx --coco COCO

All are timed alternately in one process, from an image in memory to boxes. mmAP is evaluated on val2017 in the folder;
onnxruntime's quantizer is calibrated on the first images of its train2017. For NAME.onnx, OpenVINO runs
NAME_openvino.onnx if it exists (``snv2 export --target openvino``).
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import cv2
import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmdet_shufflenetv2.config.detector import category_ids
from mmdet_shufflenetv2.deploy import ExportedDetector
from mmdet_shufflenetv2.profiling.timing import machine_name, summarize, time_alternating


class Images(CalibrationDataReader):
    """Gives the quantizer resized images one by one."""

    def __init__(self, detector: ExportedDetector, paths: list[Path]) -> None:
        self.images = iter([detector.resized(cv2.imread(str(path))) for path in paths])

    def get_next(self) -> dict[str, np.ndarray] | None:
        image = next(self.images, None)
        return None if image is None else {'image': image}


def has_vnni() -> bool:
    """Whether the processor accumulates products of 8-bit numbers without overflow; otherwise weights get 7 bits."""
    cpuinfo = Path('/proc/cpuinfo')
    return cpuinfo.is_file() and any(flag in cpuinfo.read_text() for flag in ('avx512_vnni', 'avx_vnni', 'asimddp'))


def quantized(path: Path, folder: Path, images: Images, per_channel: bool) -> Path:
    """The graph with convolutions in 8 bits, post-processing in float, and the original's metadata."""
    prepared, out = folder / 'prepared.onnx', folder / f'{path.stem}_int8_{per_channel}.onnx'
    quant_pre_process(path, prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared,
        out,
        images,
        quant_format=QuantFormat.QDQ,
        per_channel=per_channel,
        reduce_range=not has_vnni(),
        op_types_to_quantize=['Conv'],
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    graph = onnx.load(out)
    onnx.helper.set_model_props(graph, {entry.key: entry.value for entry in onnx.load(path).metadata_props})
    onnx.save(graph, out)
    return out


def mean_ap(detector: ExportedDetector, coco: COCO, folder: Path) -> float:
    """mmAP on the images of an annotation file."""
    ids, results = category_ids(detector.classes), []
    for image in coco.loadImgs(coco.getImgIds()):
        boxes, scores, labels = detector(cv2.imread(str(folder / image['file_name'])))
        results += [
            dict(
                image_id=image['id'],
                category_id=ids[label],
                score=float(score),
                bbox=[float(x1), float(y1), float(x2 - x1), float(y2 - y1)],
            )
            for (x1, y1, x2, y2), score, label in zip(boxes, scores, labels)
        ]
    evaluation = COCOeval(coco, coco.loadRes(results), 'bbox')
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return float(evaluation.stats[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('graphs', type=Path, nargs='+')
    parser.add_argument('--coco', type=Path, required=True)
    parser.add_argument('--calibrate', type=int, default=32, help='number of images (default: 32)')
    parser.add_argument('--rounds', type=int, default=100)
    args = parser.parse_args()
    paths = sorted((args.coco / 'train2017').iterdir())[: args.calibrate]
    coco = COCO(str(args.coco / 'annotations' / 'instances_val2017.json'))
    forms: dict[tuple[str, str], ExportedDetector] = {}
    with tempfile.TemporaryDirectory() as folder:
        for graph in args.graphs:
            forms[graph.stem, 'onnxruntime'] = ExportedDetector(graph, 2)
            own = graph.with_stem(f'{graph.stem}_openvino')
            forms[graph.stem, 'OpenVINO'] = ExportedDetector(own if own.is_file() else graph, 2, 'openvino')
            for per_channel in (False, True):
                out = quantized(graph, Path(folder), Images(ExportedDetector(graph), paths), per_channel)
                kind = f'onnxruntime, int8, one scale per {"channel" if per_channel else "tensor"}'
                forms[graph.stem, kind] = ExportedDetector(out, 2)
    image = cv2.imread(str(paths[0]))
    seconds = time_alternating({name: lambda d=d: d(image) for name, d in forms.items()}, rounds=args.rounds)
    accuracy = {name: mean_ap(detector, coco, args.coco / 'val2017') for name, detector in forms.items()}
    first = args.graphs[0].stem
    print(
        f'\n{machine_name()}, 2 threads, {args.rounds} rounds\n\n'
        f'| detector | form | mmAP | median | time beside float32 | time beside {first} |\n'
        f'| --- | --- | --- | --- | --- | --- |'
    )
    for stem, kind in forms:
        median = summarize(seconds[stem, kind]).median * 1e3
        same, other = (
            np.median(np.array(seconds[stem, kind]) / np.array(seconds[base]))
            for base in ((stem, 'onnxruntime'), (first, kind))
        )
        print(f'| {stem} | {kind} | {100 * accuracy[stem, kind]:.1f} | {median:.1f} ms | {same:.2f} | {other:.2f} |')


if __name__ == '__main__':
    main()
