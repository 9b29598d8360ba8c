import socket
import struct
import sys
import zlib

import cv2
import pytest
from test_sources import photo
from tiny_graph import write

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.inference.models import Model
from mmdet_shufflenetv2.inference.page import make_page, serve


@pytest.fixture
def page(tmp_path):
    """The page, served with a detector that finds one dog in every image and one that is not a detector."""
    pytest.importorskip('gradio')
    (tmp_path / 'broken.onnx').write_text('no graph')
    models = {name: Model(str(tmp_path / name), None) for name in ('d.onnx', 'broken.onnx')}
    write(tmp_path / 'd.onnx')
    blocks = make_page(models)
    blocks.launch(server_name='127.0.0.1', prevent_thread_lock=True, quiet=True, ssr_mode=False)
    yield blocks
    blocks.close()


def client(page):
    from gradio_client import Client

    return Client(page.local_url, verbose=False, analytics_enabled=False)


def test_page_draws_detections_and_shows_the_time(page, tmp_path):
    from gradio_client import handle_file

    image = handle_file(photo(tmp_path / 'images' / 'x.png'))
    drawn, said = client(page).predict(image, 'd.onnx', 0.5, api_name='/detect')
    assert 'ms** from pixels to boxes. Found: 1 dog.' in said
    assert cv2.imread(drawn if isinstance(drawn, str) else drawn['path']).shape == (6, 8, 3)
    _, said = client(page).predict(image, 'd.onnx', 0.8, api_name='/detect')
    assert 'Found: nothing.' in said


def test_page_accepts_metadata_that_only_pillow_rejects(page, tmp_path):
    from gradio_client import handle_file

    path = photo(tmp_path / 'x.png')
    content, text = path.read_bytes(), b'k\0\0' + zlib.compress(bytes(3 << 20))
    path.write_bytes(
        b''.join(
            (
                content[:33],
                struct.pack('>I', len(text)),
                b'zTXt',
                text,
                struct.pack('>I', zlib.crc32(b'zTXt' + text)),
                content[33:],
            )
        )
    )
    _, said = client(page).predict(handle_file(path), 'd.onnx', 0.5, api_name='/detect')
    assert 'Found: 1 dog.' in said


def test_invalid_detector_is_reported_on_the_page(page, tmp_path):
    from gradio_client import handle_file
    from gradio_client.exceptions import AppError

    with pytest.raises(AppError, match='cannot be read as an ONNX graph'):
        client(page).predict(handle_file(photo(tmp_path / 'x.png')), 'broken.onnx', 0.5, api_name='/detect')


def test_telemetry_is_off(page):
    assert page.analytics_enabled is False
    assert page.config['analytics_enabled'] is False
    assert page.local_url.startswith('http://127.0.0.1:')


def test_invalid_image_is_reported_only_on_the_page(page, tmp_path, capfd):
    from gradio_client import handle_file
    from gradio_client.exceptions import AppError

    (tmp_path / 'text.jpg').write_text('hello')
    with pytest.raises(AppError, match=r'text\.jpg is truncated or'):
        client(page).predict(handle_file(tmp_path / 'text.jpg'), 'd.onnx', 0.5, api_name='/detect')
    assert 'Traceback' not in capfd.readouterr().err


def test_used_port_is_reported():
    with socket.create_server(('127.0.0.1', 0)) as taken, pytest.raises(UserError, match='Choose another port: port='):
        serve({'d.onnx': Model('d.onnx', None)}, port=taken.getsockname()[1])


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(port=99999), 'port=99999: expected 1 to 65535'),
        (dict(port=-1), 'port=-1: expected 1 to 65535'),
        (dict(host='1.2.3.4'), 'Cannot listen on 1.2.3.4: .*host=127.0.0.1'),
        (dict(host='no such host'), 'Cannot listen on no such host: '),
        (dict(device='gpu'), 'd.onnx is an exported detector, which runs on the CPU. Remove `device`'),
    ],
)
def test_invalid_arguments_are_reported_before_the_page_is_built(monkeypatch, options, words):
    monkeypatch.setitem(sys.modules, 'gradio', None)
    with pytest.raises(UserError, match=words):
        serve({'d.onnx': Model('d.onnx', None)}, **options)


def test_missing_device_is_reported_before_the_page_is_built():
    with pytest.raises(UserError, match='device=gpu'):
        serve({'a.pth': Model('c.py', 'a.pth')}, device='gpu')


def test_missing_gradio_is_reported(tool, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'gradio', None)
    write(tmp_path / 'd.onnx')
    ended = tool('app.py', tmp_path / 'd.onnx')
    assert ended.status == 2
    assert ended.err == "error: The page needs gradio: pip install 'gradio>=6', or pip install -e '.[app]'\n"
