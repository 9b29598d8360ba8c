"""The folder that ``--target web`` writes: its files, its resizing, and the page in a browser without a network."""

import functools
import json
import os
import shutil
import subprocess
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest
from conftest import ROOT, SHARED, needs_shared
from PIL import Image
from tiny_graph import ABOUT, write

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.deploy import ExportedDetector, export_model
from mmdet_shufflenetv2.deploy.resizing import INTERPOLATIONS, Resize
from mmdet_shufflenetv2.deploy.targets import TARGETS, web
from mmdet_shufflenetv2.deploy.targets.target import Program

CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')
needs_node = pytest.mark.skipif(shutil.which('node') is None, reason='needs Node.js')
needs_npm = pytest.mark.skipif(shutil.which('npm') is None, reason='needs npm')
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason='needs Chromium')


def write_page(out, onnx, about):
    """The folder of a graph; skips the test where npm cannot fetch the runtime."""
    try:
        web.TARGET.export(Program(None, None, about, onnx), out, None)
    except UserError as error:
        pytest.skip(str(error))
    return out


@pytest.fixture
def browser():
    playwright = pytest.importorskip('playwright.sync_api', reason='needs playwright: pip install playwright')
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=CHROMIUM,
            args=['--no-sandbox', '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'],
        )
        yield browser
        browser.close()


@pytest.fixture
def serve():
    """Serves a folder, without special headers, and returns its address."""
    servers = []

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    def call(folder):
        server = ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Quiet, directory=folder))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f'http://127.0.0.1:{server.server_port}'

    yield call
    for server in servers:
        server.shutdown()
        server.server_close()


def open_page(browser, address, width=1200):
    """The page, ready, in a window of this width; requests to other servers fail the test."""
    page = browser.new_page(viewport=dict(width=width, height=800))
    page.on('request', lambda request: request.url.startswith((address, 'data:', 'blob:')) or page.close())
    page.goto(address)
    page.wait_for_selector('#camera:enabled', timeout=60_000)
    return page


def wait_for_detections(page):
    page.wait_for_function("window.found || document.querySelector('#status').textContent.startsWith('Error')")
    assert page.evaluate('Boolean(window.found)'), page.text_content('#status')


@needs_npm
@needs_chromium
def test_page_matches_the_graph_for_file_and_camera(tmp_path, browser, serve):
    folder = write_page(
        tmp_path / 'page',
        write(tmp_path / 'd.onnx'),
        ABOUT | {'resize': json.dumps(Resize((64, 48), True, False)._asdict())},
    )
    page = open_page(browser, serve(folder), width=390)
    Image.new('RGB', (90, 60)).save(tmp_path / 'photo.png')
    page.set_input_files('#file', tmp_path / 'photo.png')
    wait_for_detections(page)
    [one] = page.evaluate('found.detections')
    assert (one['name'], one['score'], one['label']) == ('dog', 0.75, 1)
    np.testing.assert_allclose(one['box'], [0, 0, 90, 60], rtol=1e-5)
    assert '1 dog' in page.text_content('#status')
    page.fill('#threshold', '0.8')
    assert 'nothing above the threshold' in page.text_content('#status')
    page.evaluate('delete window.found')
    page.click('#camera')
    wait_for_detections(page)
    assert page.evaluate('canvas.width >= 320 && canvas.clientWidth <= 390')
    page.click('#camera')
    assert page.evaluate('document.documentElement.scrollWidth <= 390')


@needs_npm
@needs_chromium
@needs_shared('weights')
@pytest.mark.slow
def test_browser_matches_python(tmp_path, browser, serve):
    pytest.importorskip('onnxruntime', reason='needs onnxruntime')
    export_model(
        str(ROOT / 'configs/nanodet_m_snv2.py'),
        str(SHARED / 'weights/nanodet_m_320.pth'),
        str(tmp_path / 'page'),
        target='web',
    )
    page = open_page(browser, serve(tmp_path / 'page'))
    detector = ExportedDetector(tmp_path / 'page', target='web')
    for path in sorted((SHARED / 'coco_tiny/val2017').glob('*.jpg'))[:3]:
        image = cv2.imread(str(path))
        Image.fromarray(image[..., ::-1]).save(tmp_path / 'photo.png')  # JPEG decoders differ
        page.evaluate('delete window.found')
        page.set_input_files('#file', tmp_path / 'photo.png')
        wait_for_detections(page)
        found, expected = page.evaluate('found.detections'), detector(image)
        clear = expected.scores > 0.3  # the same pixels; the page's resizing rounds differently
        assert 0 < sum(one['score'] > 0.32 for one in found) <= clear.sum()
        for box, score, label in zip(expected.boxes[clear], expected.scores[clear], expected.labels[clear]):
            near = min(
                np.abs(np.subtract(one['box'], box)).max()
                for one in found
                if one['label'] == label and abs(one['score'] - score) < 0.02
            )
            assert near < 0.01 * max(image.shape)


@needs_node
def test_page_resizes_like_python(tmp_path):
    rng = np.random.default_rng(0)
    cases = [
        (Resize(scale, ratio, cut, fit, interpolation, backend), shape)
        for backend, kinds in INTERPOLATIONS.items()
        for interpolation in kinds
        for scale, ratio, cut, fit in [
            ((48, 30), False, False, False),
            ((64, 40), True, True, True),
            ((90, 70), True, False, False),
        ]
        for shape in [(37, 53), (100, 75), (60, 96)]
    ]
    images = [cv2.GaussianBlur(rng.integers(0, 256, (*shape, 3), np.uint8), (3, 3), 0) for _, shape in cases]
    (tmp_path / 'package.json').write_text('{"type": "module"}')
    shutil.copy(web.__file__.replace('web.py', 'web_page/resize.js'), tmp_path)
    (tmp_path / 'cases.json').write_text(
        json.dumps(
            [
                dict(
                    resize=resize._asdict(),
                    height=shape[0],
                    width=shape[1],
                    pixels=np.dstack((image[..., ::-1], np.full(shape, 255, np.uint8))).ravel().tolist(),
                )
                for (resize, shape), image in zip(cases, images)
            ]
        )
    )
    (tmp_path / 'run.js').write_text("""
        import {readFileSync} from 'node:fs';
        import {resized, sizeOf} from './resize.js';
        console.log(JSON.stringify(JSON.parse(readFileSync('cases.json')).map(({resize, height, width, pixels}) => {
          const size = sizeOf(height, width, resize);
          return [size, Array.from(resized(Uint8Array.from(pixels), height, width, ...size, resize))];
        })));""")
    ran = subprocess.run(['node', 'run.js'], cwd=tmp_path, capture_output=True, text=True, check=True)
    for (resize, shape), image, (size, pixels) in zip(cases, images, json.loads(ran.stdout)):
        expected = resize(image)
        assert tuple(size) == expected.shape[:2], (resize, shape)
        difference = np.abs(np.reshape(pixels, expected.shape) - expected.astype(int))
        if resize[-2:] == ('nearest', 'pillow'):  # adds up positions, so that halves are rounded either way
            assert (difference > 0).mean() < 0.2, (resize, shape)
        else:  # warpPerspective rounds positions to 1/32 of a pixel, Pillow rounds between rows and columns
            assert difference.max() <= (9 if resize.backend == 'warp' else 2), (resize, shape, difference.max())


def fake_npm(monkeypatch, folder, script):
    npm = folder / 'npm'
    npm.write_text(f'#!/bin/sh\n{script}\n')
    npm.chmod(0o755)
    monkeypatch.setenv('PATH', str(folder), prepend=os.pathsep)


@pytest.mark.parametrize(
    ('script', 'words'),
    [
        (
            'echo "npm error code E\nnpm error reason: ENOTFOUND" >&2; exit 1',
            'cannot download onnxruntime-web@.*: reason: ENOTFOUND.*config set registry',
        ),
        ('for last; do :; done; echo other > "$last/onnxruntime-web.tgz"', 'wrong checksum'),
    ],
)
def test_failed_npm_download_is_reported_in_one_line(script, words, tmp_path, monkeypatch):
    fake_npm(monkeypatch, tmp_path, script)
    with pytest.raises(UserError, match=words):
        web.TARGET.export(Program(None, None, {}, tmp_path / 'd.onnx'), tmp_path / 'page', None)


def test_missing_npm_is_reported_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setenv('PATH', str(tmp_path))
    with pytest.raises(UserError, match='npm is not installed.*Node.js'):
        web.TARGET.export(Program(None, None, {}, tmp_path / 'd.onnx'), tmp_path / 'page', None)


def test_rejects_nonempty_folder_first(tmp_path):
    (tmp_path / 'page').mkdir()
    (tmp_path / 'page' / 'mine.txt').touch()
    with pytest.raises(UserError, match='`out` already exists: .*page. Choose a new folder'):
        export_model('config.py', 'checkpoint.pth', str(tmp_path / 'page'), target='web')


def test_folder_target_is_only_selected_by_name():
    assert [name for name, target in TARGETS.items() if target.is_folder] == ['web']
