"""The web: a folder with a page that runs the detector in the browser, by onnxruntime-web, which npm fetches."""

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

#: npm's name and version of the runtime, and its checksum there.
RUNTIME = 'onnxruntime-web@1.30.0'
_SHA512 = 'q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=='
#: Its files that a page needs -> theirs in the folder. Servers that do not know ``.mjs`` know ``.js``.
_FILES = {'package/dist/ort.wasm.bundle.min.mjs': 'ort.js', 'package/dist/ort-wasm-simd-threaded.wasm': 'ort.wasm'}
_PAGE = Path(__file__).with_name('web_page')


def _copy_runtime(out: Path) -> None:
    """Copy onnxruntime-web's files into a folder: by npm, from its cache or the registry of its configuration.

    Raises:
        UserError: If npm is missing, cannot fetch the package, or fetches another one.
    """
    npm = shutil.which('npm')
    if npm is None:
        raise UserError(f'npm is not installed: the web target copies {RUNTIME} with it. Install Node.js.')
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
                f'npm cannot fetch {RUNTIME}: {said[1] if said else f"status {done.returncode}"}. The '
                f'first export for the web needs a network, later ones use the cache of npm. Another '
                f'registry: npm config set registry URL.'
            )
        if base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode() != _SHA512:
            raise UserError(
                f'{RUNTIME} is not the published one: its checksum differs. Check the registry that '
                f'`npm config get registry` names.'
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
