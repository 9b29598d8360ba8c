"""Web: a folder with a page that runs the detector in the browser with onnxruntime-web, which npm downloads."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ...utils.errors import UserError
from . import onnxruntime
from .target import MADE_BY, Loaded, Program, Target

if TYPE_CHECKING:
    from ...config.options import ExportOptions

__all__ = ['RUNTIME', 'TARGET']

#: The runtime's npm package with version, and the checksum of its archive.
RUNTIME = 'onnxruntime-web@1.30.0'
_SHA512 = 'q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=='
#: Files that the page needs -> their names in the folder. Some servers have no media type for ``.mjs``.
_FILES = {'package/dist/ort.wasm.bundle.min.mjs': 'ort.js', 'package/dist/ort-wasm-simd-threaded.wasm': 'ort.wasm'}
_PAGE = Path(__file__).with_name('web_page')


def _copy_runtime(out: Path) -> None:
    """Copy onnxruntime-web's files into a folder, from npm's cache or its configured registry.

    Raises:
        UserError: If npm is missing or cannot download the package, or if the checksum differs.
    """
    npm = shutil.which('npm')
    if npm is None:
        raise UserError(f'npm is not installed: the web target downloads {RUNTIME} with it. Install Node.js.')
    with TemporaryDirectory() as folder:
        done = subprocess.run(
            [
                npm,
                'pack',
                RUNTIME,
                '--loglevel=error',
                '--prefer-offline',
                '--fetch-retries=1',
                '--fetch-timeout=60000',
                '--pack-destination',
                folder,
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        archive = next(Path(folder).glob('*.tgz'), None)
        if done.returncode != 0 or archive is None:
            said = re.search(r'^npm (?:error|ERR!) (?!code|syscall|errno)(.+)', done.stderr, re.M)
            raise UserError(
                f'npm cannot download {RUNTIME}: {said[1] if said else f"status {done.returncode}"}. The '
                f"first export for the web needs a network, later ones use npm's cache. To set another "
                f'registry: npm config set registry URL.'
            )
        if base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode() != _SHA512:
            raise UserError(
                f'{RUNTIME} has a wrong checksum, so it is not the published package. Check the registry: '
                f'npm config get registry.'
            )
        with tarfile.open(archive) as tar:
            for member, name in _FILES.items():
                source: Any = tar.extractfile(member)
                with source, (out / name).open('wb') as copy:
                    shutil.copyfileobj(source, copy)


def _export(program: Program, out: Path, options: ExportOptions) -> None:
    shutil.copytree(_PAGE, out)
    _copy_runtime(out)
    shutil.copyfile(program.onnx, out / 'detector.onnx')
    about = {key: value if key == MADE_BY else json.loads(value) for key, value in program.about.items()}
    (out / 'detector.json').write_text(json.dumps(about, indent=1) + '\n')


def _load(path: Path, threads: int | None) -> Loaded:
    return onnxruntime.TARGET.load(path / 'detector.onnx', threads)


TARGET = Target('web', (), 'deploy', ('onnx', 'onnxruntime'), ('onnxruntime',), 1, _export, _load)
