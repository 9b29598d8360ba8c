"""``snv2 app``: a browser page to try detectors."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from ..compat.patches import replace
from ..deploy.exported import Detections
from ..utils.errors import UserError
from ..utils.images import check_image_file, read_image
from ..visualization import class_color, draw_boxes
from .detector import Detector
from .models import Model

__all__ = ['make_page', 'serve']


class _Found(NamedTuple):
    """The cached detections of an image, so that a new threshold needs no new detection."""

    image: np.ndarray
    detections: Detections
    classes: tuple[str, ...]
    seconds: float


def serve(
    models: Mapping[str, Model], *, device: str | None = None, host: str = '127.0.0.1', port: int | None = None
) -> None:
    """Serve the page until Ctrl-C.

    Args:
        models: The result of :func:`.models.find_models`.
        device: As in :class:`.Detector`. Exported files always run on the CPU.
        host: Address to listen on. ``0.0.0.0`` allows connections from other machines.
        port: Port to listen on; by default the first free one from 7860.

    Raises:
        UserError: If gradio is missing, the port is in use, or the host or the device is invalid.
    """
    _check_address(host, port)
    _check_device(models, device)
    page = make_page(models, device)
    try:
        _, address, _ = page.launch(
            server_name=host,
            server_port=port,
            share=False,
            ssr_mode=False,
            footer_links=[],
            max_file_size='100mb',
            quiet=True,
            prevent_thread_lock=True,
        )
    except OSError as error:  # all ports from 7860 are in use
        raise UserError(f'Cannot listen on {host}: {error}. Choose a port: port=8000.') from error
    print(f'The page is at {address}. Ctrl-C stops it.', flush=True)
    page.block_thread()


def _check_address(host: str, port: int | None) -> None:
    """Try to listen. gradio would start for half a minute first, and then try a hundred ports of a wrong host."""
    if port is not None and not 0 < port < 1 << 16:
        raise UserError(f'port={port}: expected 1 to {(1 << 16) - 1}.')
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        socket.create_server((host, port or 0), family=family).close()
    except OSError as error:
        is_other_machine = isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL
        hint = (
            'Use an address of this machine: host=127.0.0.1, or 0.0.0.0 for all of them'
            if is_other_machine
            else 'Choose another port: port=8000'
        )
        raise UserError(f'Cannot listen on {host}: {error.strerror}. {hint}') from error


def _check_device(models: Mapping[str, Model], device: str | None) -> None:
    if device is None:
        return
    if any(model.weights for model in models.values()):
        from ..utils.device import usable_device  # needs PyTorch

        usable_device(device)
    elif device != 'cpu':
        raise UserError(f'{next(iter(models))} is an exported detector, which runs on the CPU. Remove `device`.')


def make_page(models: Mapping[str, Model], device: str | None = None) -> Any:
    """Build the page as gradio ``Blocks``. Arguments are as in :func:`serve`.

    Its API has one endpoint, ``/detect``: image file, name of the model, threshold.
    """
    gradio = _import_gradio()

    def check_first(payload: Any) -> str | None:
        if payload is None or not payload.path:
            return type(image).preprocess(image, payload)
        if fault := check_image_file(payload.path).fault:
            raise gradio.Error(fault, print_exception=False)
        return payload.path  # gradio would decode it with Pillow

    @lru_cache(maxsize=4)
    def detector(name: str) -> Detector:
        return Detector(*models[name], device=device if models[name].weights else None)

    def detect(image: str | None, name: str, threshold: float) -> tuple[np.ndarray | None, str, _Found | None]:
        if image is None:
            return None, '', None
        try:
            pixels, chosen = read_image(image), detector(name)
            start = time.perf_counter()
            detections: Any = chosen(pixels)
        except UserError as error:
            raise gradio.Error(str(error), print_exception=False) from error
        found = _Found(pixels, detections, chosen.classes, time.perf_counter() - start)
        return *_show(found, threshold), found

    with gradio.Blocks(title='Detect', analytics_enabled=False) as page:
        found = gradio.State()
        with gradio.Row():
            with gradio.Column():
                # Without labels, which would cover a corner of the image.
                image = gradio.Image(
                    type='filepath', show_label=False, height='55vh', sources=['upload', 'webcam', 'clipboard']
                )
                # Otherwise an invalid image would give a traceback, and only "Error" on the page. Not a subclass,
                # because gradio writes a file next to the source of each subclass.
                replace('gradio.Image.preprocess', image, check_first)
                name = gradio.Dropdown(list(models), value=next(iter(models)), label='Checkpoint')
                threshold = gradio.Slider(0, 1, 0.3, step=0.01, label='Score threshold')
            with gradio.Column():
                drawn = gradio.Image(
                    format='png', show_label=False, height='55vh', interactive=False, buttons=['download', 'fullscreen']
                )
                said = gradio.Markdown()
        gradio.on(
            [image.change, name.change], detect, [image, name, threshold], [drawn, said, found], api_name='detect'
        )
        threshold.input(_show, [found, threshold], [drawn, said], api_visibility='private')
    return page


def _import_gradio() -> ModuleType:
    # Must be set before the import. Otherwise gradio sends usage data and checks for updates.
    os.environ.update(GRADIO_ANALYTICS_ENABLED='False', HF_HUB_DISABLE_TELEMETRY='1')
    try:
        import gradio
    except ImportError as error:
        raise UserError("The page needs gradio: pip install 'gradio>=6', or pip install -e '.[app]'") from error
    return gradio


def _show(found: _Found | None, threshold: float) -> tuple[np.ndarray | None, str]:
    if found is None:
        return None, ''
    seen = Detections(*(part[found.detections.scores >= threshold] for part in found.detections))
    names = [found.classes[label] for label in seen.labels]
    drawn = draw_boxes(
        found.image,
        seen.boxes,
        [f'{name} {score:.2f}' for name, score in zip(names, seen.scores)],
        [class_color(int(label)) for label in seen.labels],
    )
    counted = ', '.join(f'{count} {name}' for name, count in Counter(names).most_common()) or 'nothing'
    return drawn[..., ::-1], f'**{1000 * found.seconds:.0f} ms** from pixels to boxes. Found: {counted}.'
