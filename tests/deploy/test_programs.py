"""The C++ programs of the documentation, compared with Python on the same files."""

import os
import shutil
import subprocess
from importlib.util import find_spec

import cv2
import numpy as np
import pytest
from conftest import ROOT, SHARED, needs_shared

from mmdet_shufflenetv2.deploy import ExportedDetector
from mmdet_shufflenetv2.deploy.export import export_model

PROGRAMS = ROOT / 'docs' / 'programs'
PHOTO = SHARED / 'coco_tiny' / 'val2017' / '000000006818.jpg'


@pytest.fixture(scope='module')
def programs(tmp_path_factory):
    """Folder of the programs that could be built: they need CMake, a compiler, OpenCV and the runtime."""
    if not shutil.which('cmake') or not shutil.which('c++'):
        pytest.skip('needs CMake and a C++ compiler')
    folder = tmp_path_factory.mktemp('programs')
    openvino = find_spec('openvino')
    where = [f'-DOpenVINO_DIR={openvino.submodule_search_locations[0]}/cmake'] if openvino else []
    configured = subprocess.run(
        ['cmake', '-S', PROGRAMS, '-B', folder, *where], capture_output=True, text=True, check=False
    )
    if 'OpenCV' in configured.stderr:
        pytest.skip('needs OpenCV for C++: apt install libopencv-dev')
    assert configured.returncode == 0, configured.stderr
    built = subprocess.run(['cmake', '--build', folder], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return folder


@needs_shared('weights')
@needs_shared('coco_tiny')
@pytest.mark.parametrize(('name', 'suffix'), [('openvino', 'xml'), ('openvino', 'onnx'), ('ncnn', 'param')])
@pytest.mark.parametrize('kind', ['nanodet_m', 'nanodet_plus_m'])
@pytest.mark.slow
def test_programs_match_python(programs, tmp_path, name, suffix, kind):
    program = programs / f'detect_{name}'
    if not program.exists():
        pytest.skip(f'needs {name} for C++ (CMAKE_PREFIX_PATH={os.environ.get("CMAKE_PREFIX_PATH", "")})')
    pytest.importorskip(name, reason=f'needs {name}: pip install {name}')
    path, photo = tmp_path / f'detector.{suffix}', tmp_path / 'photo.png'
    export_model(str(ROOT / 'configs' / f'{kind}_snv2.py'), str(SHARED / 'weights' / f'{kind}_320.pth'), str(path))
    image = cv2.imread(str(PHOTO))
    cv2.imwrite(str(photo), image)
    done = subprocess.run([program, path, photo, tmp_path / 'found.png'], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    detector = ExportedDetector(path, target=name)
    boxes, scores, labels = detector(image)
    wanted = [(detector.classes[label], score, box) for label, score, box in zip(labels, scores, boxes) if score >= 0.3]
    found = [line.rsplit(maxsplit=5) for line in done.stdout.splitlines()]
    assert abs(len(found) - len(wanted)) <= 1  # OpenCV of another version rounds pixels in another way
    for class_name, score, box in wanted:
        if score >= 0.32:
            assert any(
                class_name == other[0]
                and abs(score - float(other[1])) < 0.02
                and np.abs(box - np.array(other[2:], float)).max() < 3
                for other in found
            ), (class_name, found)
    assert (cv2.imread(str(tmp_path / 'found.png')) != image).any()


@pytest.mark.parametrize('name', ['openvino', 'ncnn'])
def test_missing_image_is_reported_in_one_line(programs, tmp_path, name):
    program = programs / f'detect_{name}'
    if not program.exists():
        pytest.skip(f'needs {name} for C++')
    done = subprocess.run(
        [program, 'detector.xml', tmp_path / 'none.jpg', 'out.jpg'], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, '')
    assert done.stderr.splitlines()[-1].startswith('Cannot read image: ')  # behind OpenCV's own warning
