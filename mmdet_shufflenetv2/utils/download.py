"""A file over HTTP that arrives whole or not at all, however often the connection is cut."""

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
#: Attempts in a row that may bring nothing, and seconds before the second one; each later wait is twice as long.
ATTEMPTS, FIRST_WAIT = 6, 1.0


class _RetryError(Exception):
    """This attempt has ended; another may bring more."""


def download(url: str, target: Path, size: int | None = None, md5: str | None = None, bar: bool = True, *,
             check: Callable[[Path], None] = lambda part: None, attempts: int = ATTEMPTS) -> Path:
    """Fetch a file.

    What has arrived stays in ``TARGET.part`` when the connection is cut or the process is killed, and the next attempt,
    or the next call, goes on behind it, where the server can do that. The file gets its name when it is whole.

    Args:
        url: An ``http://`` or ``https://`` address.
        target: The file to write.
        size: Bytes that it must have; None takes what the server says.
        md5: Its MD5 sum, if it is known.
        bar: Whether to show progress, and to say when an attempt has failed.
        check: Called with the complete file before it gets its name; what it refuses with a UserError is deleted.
        attempts: How many in a row may bring nothing.

    Raises:
        UserError: If it is not there, of another size or content, or if the server gives up for good.
    """
    if not re.match('https?://', url):
        raise UserError(f'{url} is no address. Expected one that starts with http:// or https://')
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
                    raise UserError(f'{url}: {error}; {attempts} attempts in a row brought nothing more. '
                                    f'{_bytes(part)} bytes are kept: call it again later to go on.') from None
                wait = FIRST_WAIT * 2 ** (failures - 1)
                if bar:
                    progress.write(f'{target.name}: {error}; attempt {failures + 1} of {attempts} in {wait:g} s',
                                   file=sys.stderr)
                time.sleep(wait)
            have = _bytes(part)
    if md5 is not None and (found := md5_of(part, bar)) != md5:
        part.unlink()
        raise UserError(f'{url}: what arrived has the MD5 sum {found}, published is {md5}. It was deleted: call it '
                        f'again to fetch it anew, or name another server.')
    try:
        check(part)
    except UserError as error:
        part.unlink()
        raise UserError(f'{url}: {error}') from error
    put_in_place(part, target)
    return target


def part_of(target: Path) -> Path:
    """Where a file is kept until it is whole."""
    return target.with_name(f'{target.name}.part')


def md5_of(path: Path, bar: bool = True) -> str:
    """MD5 sum of a file, in hexadecimal."""
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, 'rb') as file, tqdm(desc=f'{path.name}: checksum', total=_bytes(path), unit='B', unit_scale=True,
                                        leave=False, disable=not bar) as progress:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            progress.update(len(chunk))
    return digest.hexdigest()


def _attempt(url: str, part: Path, size: int | None, progress: tqdm) -> int:
    """One request; whatever it brings is in the part. Returns the size of the whole."""
    have = _bytes(part)
    if size is not None and have > size:
        part.unlink()
        have = 0
    try:
        headers = {'User-Agent': 'mmdet_shufflenetv2'}  # some servers refuse that of urllib
        headers |= {'Range': f'bytes={have}-'} if have else {}
        with urlopen(Request(url, headers=headers), timeout=_TIMEOUT) as answer:
            if answer.status != 206:
                have = 0  # the server takes no ranges: from the start
            if answer.headers.get_content_type() == 'text/html' or (
                    not have and re.match(rb'\s*<(!doctype )?html', answer.peek(100), re.IGNORECASE)):
                raise UserError(f'{url}: the server answers with a web page in place of the file, perhaps a login, a '
                                f'limit on downloads or a proxy.')
            size = _checked_size(url, answer, have, size)
            progress.total, progress.n = size, have
            with open(part, 'r+b' if have else 'wb') as file:
                file.seek(have)
                while chunk := answer.read(_CHUNK):
                    have += len(chunk)
                    if have > size:
                        file.truncate(0)
                        raise UserError(f'{url} gives more than the {size} bytes that it should have.')
                    file.write(chunk)
                    progress.update(len(chunk))
    except HTTPError as error:
        if error.code == 416:  # what is here already is no beginning of what is there
            part.unlink(missing_ok=True)
        elif error.code < 500 and error.code not in (408, 429):
            raise UserError(f'{url}: the server answers {error.code} {error.reason}. Check the address, or name '
                            f'another server.') from None
        raise _RetryError(f'the server answers {error.code} {error.reason}') from None
    except OSError as error:
        if isinstance(error, (URLError, TimeoutError, ConnectionError)):
            raise _RetryError(f'no connection ({getattr(error, "reason", error)})') from None
        raise UserError(f'{part} cannot be written: {error.strerror}. {_bytes(part)} bytes are kept: make room and '
                        f'call it again to go on.') from None
    except http.client.HTTPException as error:
        raise _RetryError(f'the answer breaks off ({type(error).__name__})') from None
    if have < size:
        raise _RetryError(f'the connection was cut after {have} of {size} bytes')
    return size


def _checked_size(url: str, answer: http.client.HTTPResponse, have: int, size: int | None) -> int:
    """The size of the whole, from what the server says of it and what is known."""
    stated = None
    if have:
        matched = re.fullmatch(r'bytes (\d+)-\d+/(\d+|\*)', answer.headers.get('Content-Range', ''))
        if not matched or int(matched[1]) != have:
            raise UserError(f'{url}: the server sends another range than was asked for. Delete *.part, call it again.')
        stated = int(matched[2]) if matched[2] != '*' else None
    elif (length := answer.headers.get('Content-Length', '')).isdecimal():
        stated = int(length)
    if size is not None and stated not in (None, size):
        raise UserError(f'{url} has {stated} bytes on this server, expected {size}. Name another server.')
    if size is None and stated is None:
        raise UserError(f'{url}: the server does not say how many bytes there are.')
    return size if size is not None else stated


def _bytes(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
