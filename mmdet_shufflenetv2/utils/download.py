"""HTTP downloads that resume after a lost connection. The file appears only once it is complete."""

from __future__ import annotations

import hashlib
import http.client
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tqdm import tqdm

from .errors import UserError
from .files import put_in_place

__all__ = ['download', 'md5_of', 'part_of']

_CHUNK = 1 << 20
_TIMEOUT = 60
#: Consecutive attempts without new data before giving up, and seconds before the second attempt; each later wait is
#: twice as long.
ATTEMPTS, FIRST_WAIT = 6, 1.0


class _RetryError(Exception):
    """This attempt failed; another one may succeed."""


def download(
    url: str,
    target: Path,
    size: int | None = None,
    md5: str | None = None,
    bar: bool = True,
    *,
    check: Callable[[Path], None] = lambda part: None,
    attempts: int = ATTEMPTS,
) -> Path:
    """Download a file.

    If the connection is lost or the process is killed, the received bytes stay in ``TARGET.part``. The next attempt or
    call resumes from there if the server supports it. The complete file is then renamed to ``target``.

    Args:
        url: An ``http://`` or ``https://`` address.
        target: The file to write.
        size: Expected size in bytes; None takes the size that the server states.
        md5: Expected MD5 checksum, if known.
        bar: Whether to show progress and failed attempts.
        check: Called with the complete file before it is renamed. If it raises a UserError, the file is deleted.
        attempts: Consecutive attempts without new data before giving up.

    Raises:
        UserError: If the file does not exist, has another size or checksum, or cannot be downloaded.
    """
    if not re.match('https?://', url):
        raise UserError(f'{url} is not a web address: expected http:// or https:// at the start.')
    target.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(target)
    failures, have = 0, _bytes(part)
    with tqdm(desc=target.name, total=size, initial=have, unit='B', unit_scale=True, disable=not bar) as progress:
        while size is None or have != size:
            try:
                size = _attempt(url, part, size, progress)
            except _RetryError as error:
                failures = 1 if _bytes(part) > have else failures + 1
                if failures >= attempts:
                    raise UserError(
                        f'{url}: {error}. Gave up after {attempts} attempts without new data. The '
                        f'{_bytes(part)} bytes received so far are kept: try again later to resume.'
                    ) from None
                wait = FIRST_WAIT * 2 ** (failures - 1)
                if bar:
                    progress.write(
                        f'{target.name}: {error}; attempt {failures + 1} of {attempts} in {wait:g} s', file=sys.stderr
                    )
                time.sleep(wait)
            have = _bytes(part)
    if md5 is not None and (found := md5_of(part, bar)) != md5:
        part.unlink()
        raise UserError(
            f'{url}: the MD5 checksum of the download is {found}, expected {md5}. The file was deleted. '
            f'Try again, or use another server.'
        )
    try:
        check(part)
    except UserError as error:
        part.unlink()
        raise UserError(f'{url}: {error}') from error
    put_in_place(part, target)
    return target


def part_of(target: Path) -> Path:
    """Path of the incomplete file during a download."""
    return target.with_name(f'{target.name}.part')


def md5_of(path: Path, bar: bool = True) -> str:
    """MD5 checksum of a file, in hexadecimal."""
    digest = hashlib.md5(usedforsecurity=False)
    with (
        open(path, 'rb') as file,
        tqdm(
            desc=f'{path.name}: checksum', total=_bytes(path), unit='B', unit_scale=True, leave=False, disable=not bar
        ) as progress,
    ):
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            progress.update(len(chunk))
    return digest.hexdigest()


def _attempt(url: str, part: Path, size: int | None, progress: tqdm) -> int:
    """Make one request and append what it returns to ``part``. Returns the size of the complete file."""
    have = _bytes(part)
    if size is not None and have > size:
        part.unlink()
        have = 0
    try:
        headers = {'User-Agent': 'mmdet_shufflenetv2'}  # some servers reject urllib's own
        headers |= {'Range': f'bytes={have}-'} if have else {}
        with urlopen(Request(url, headers=headers), timeout=_TIMEOUT) as answer:
            if answer.status != 206:
                have = 0  # the server does not support ranges: start over
            if answer.headers.get_content_type() == 'text/html' or (
                not have and re.match(rb'\s*<(!doctype )?html', answer.peek(100), re.IGNORECASE)
            ):
                raise UserError(
                    f'{url}: the server returned a web page instead of the file. A login, a download limit '
                    f'or a proxy may be the reason.'
                )
            size = _checked_size(url, answer, have, size)
            progress.total, progress.n = size, have
            with open(part, 'r+b' if have else 'wb') as file:
                file.seek(have)
                while chunk := answer.read(_CHUNK):
                    have += len(chunk)
                    if have > size:
                        file.truncate(0)
                        raise UserError(f'{url}: the server sent more than the expected {size} bytes.')
                    file.write(chunk)
                    progress.update(len(chunk))
    except HTTPError as error:
        if error.code == 416:  # the partial file is not the start of the server's file
            part.unlink(missing_ok=True)
        elif error.code < 500 and error.code not in (408, 429):
            raise UserError(
                f'{url}: the server answered {error.code} {error.reason}. Check the address, or use another server.'
            ) from None
        raise _RetryError(f'the server answered {error.code} {error.reason}') from None
    except OSError as error:
        if isinstance(error, (URLError, TimeoutError, ConnectionError)):
            raise _RetryError(f'no connection ({getattr(error, "reason", error)})') from None
        raise UserError(
            f'{part} cannot be written: {error.strerror}. The {_bytes(part)} bytes received so far are '
            f'kept: free some disk space and try again to resume.'
        ) from None
    except http.client.HTTPException as error:
        raise _RetryError(f'the response is incomplete ({type(error).__name__})') from None
    if have < size:
        raise _RetryError(f'the connection was lost after {have} of {size} bytes')
    return size


def _checked_size(url: str, answer: http.client.HTTPResponse, have: int, size: int | None) -> int:
    """Size of the complete file: the known one, which the server's must match, or the one that the server states."""
    stated = None
    if have:
        matched = re.fullmatch(r'bytes (\d+)-\d+/(\d+|\*)', answer.headers.get('Content-Range', ''))
        if not matched or int(matched[1]) != have:
            raise UserError(f'{url}: the server sent another range than requested. Delete *.part and try again.')
        stated = int(matched[2]) if matched[2] != '*' else None
    elif (length := answer.headers.get('Content-Length', '')).isdecimal():
        stated = int(length)
    if size is not None and stated not in (None, size):
        raise UserError(f'{url} has {stated} bytes on this server, expected {size}. Use another server.')
    if size is None:
        size = stated
    if size is None:
        raise UserError(f'{url}: the server does not state the size of the file.')
    return size


def _bytes(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
