"""Unpack an untrusted zip file safely: inside one folder, up to a size limit, and completely or not at all."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from ...utils.errors import UserError
from ...utils.files import unfinished_folder
from ..audit import leaves_folder

__all__ = ['unpack']

# Images and annotations of COCO are smaller than this.
_LARGEST_MEMBER = 2 << 30


def unpack(archive: Path, folder: Path, wanted: Callable[[str], bool], limit: int) -> list[str]:
    """Unpack selected members to a new folder, without subfolders.

    Args:
        archive: A zip file. The CRC of each unpacked member is checked.
        folder: The new folder. It must not exist, and is created only when it is complete.
        wanted: Whether to unpack a member, by its name such as ``val2017/000000000139.jpg``.
        limit: Largest total size in bytes.

    Returns:
        The names of the unpacked files.

    Raises:
        UserError: If the zip file is invalid, truncated or unsafe, or if the disk is full.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _checked(archive, [member for member in opened.infolist() if not member.is_dir()], wanted, limit)
            with unfinished_folder(folder, exclusive=True) as unfinished:
                for member in tqdm(members, desc=f'{archive.name}: unpacking', unit='file', leave=False):
                    with opened.open(member) as source, open(unfinished / _name(member), 'xb') as target:
                        shutil.copyfileobj(source, target, 1 << 20)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise UserError(f'{archive} is not a valid zip file ({error}). Delete it and download it again.') from None
    except FileExistsError as error:
        raise UserError(f'{archive} cannot be unpacked to {folder}: {error.filename} exists already.') from None
    except OSError as error:
        raise UserError(f'{archive} cannot be unpacked to {folder}: {error.strerror or error}.') from None
    return [_name(member) for member in members]


def _checked(
    archive: Path, members: list[zipfile.ZipInfo], wanted: Callable[[str], bool], limit: int
) -> list[zipfile.ZipInfo]:
    for member in members:
        if leaves_folder(member.filename) or stat.S_ISLNK(member.external_attr >> 16):
            raise UserError(f'{archive} contains {member.filename!r}, a path outside the folder. It was not unpacked.')
    members = [member for member in members if wanted(member.filename)]
    # A member never unpacks to more than its stated size.
    total = sum(member.file_size for member in members)
    if total > limit or any(member.file_size > _LARGEST_MEMBER for member in members):
        raise UserError(f'{archive} would unpack to {total} bytes, expected at most {limit}. It was not unpacked.')
    if not members:
        raise UserError(f'{archive} does not contain the expected files. Delete it and download it again.')
    return members


def _name(member: zipfile.ZipInfo) -> str:
    return member.filename.rsplit('/', 1)[-1]
