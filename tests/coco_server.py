"""A local server with a small COCO 2017 that can simulate faults."""

import hashlib
import json
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from mmdet_shufflenetv2.data.coco.published import Archive


class Server:
    """Files by path, and for each path what to do with the requests that come next; afterwards it behaves."""

    def __init__(self):
        self.files, self.faults, self.requests = {}, {}, []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_GET(self):
                outer.answer(self)

        self.http = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.url = f'http://127.0.0.1:{self.http.server_port}'
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def answer(self, request):
        wanted = request.headers.get('Range')
        self.requests.append((request.path, wanted))
        queue = self.faults.get(request.path)
        fault = queue.pop(0) if queue else None
        body = self.files.get(request.path)
        if body is None or isinstance(fault, int):
            request.send_error(404 if body is None else fault)
            return
        start = int(wanted.removeprefix('bytes=').removesuffix('-')) if wanted and fault != 'ranges ignored' else 0
        if wanted and start >= len(body):
            request.send_error(416)
            return
        if fault == 'web page':
            start, body = 0, b'\n<!DOCTYPE html><title>Too many users</title>'
        part = body[start:]
        request.send_response(206 if start else 200)
        if start:
            request.send_header('Content-Range', f'bytes {start}-{len(body) - 1}/{len(body)}')
        length = {'says more': len(part) + 7, 'says less': len(part) - 7}.get(fault, len(part))
        request.send_header('Content-Length', str(length))
        if fault == 'HTML':
            request.send_header('Content-Type', 'text/html; charset=utf-8')
        request.end_headers()
        if fault == 'cut':
            part = part[: len(part) // 2]
        if fault == 'corrupt':
            part = bytes(len(part))
        request.wfile.write(part[:length])
        request.close_connection = True


def write_archives(shapes_root, folder):
    """The three archives of a COCO with 12 and 6 images."""
    folder.mkdir()
    for split in ('train2017', 'val2017'):
        with zipfile.ZipFile(folder / f'{split}.zip', 'w') as archive:
            archive.mkdir(split)
            for path in sorted((shapes_root / split).iterdir()):
                archive.write(path, f'{split}/{path.name}')
    with zipfile.ZipFile(folder / 'annotations_trainval2017.zip', 'w', zipfile.ZIP_DEFLATED) as archive:
        for split in ('train2017', 'val2017'):
            name = f'annotations/instances_{split}.json'
            archive.write(shapes_root / name, name)
            archive.writestr(f'annotations/captions_{split}.json', json.dumps({}))
    return folder


def publish(zips, server):
    """Put that COCO on the server, and its images one by one; returns what is published of it."""
    table = {}
    for name, (path, images) in {
        'annotations': ('annotations/annotations_trainval2017.zip', 0),
        'val2017': ('zips/val2017.zip', 6),
        'train2017': ('zips/train2017.zip', 12),
    }.items():
        content = (zips / path.rsplit('/', 1)[-1]).read_bytes()
        server.files[f'/{path}'] = content
        table[name] = Archive(path, len(content), hashlib.md5(content).hexdigest(), images, 20 * len(content))
    with zipfile.ZipFile(zips / 'train2017.zip') as archive:
        server.files |= {f'/{name}': archive.read(name) for name in archive.namelist() if name.endswith('.jpg')}
    return table
