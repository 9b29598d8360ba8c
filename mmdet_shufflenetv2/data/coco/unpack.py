"""Unpacking somebody's zip file: nothing leaves the folder, nothing grows beyond a limit, nothing is left half done."""

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

# Members of a zip file that hold more than this are no photographs and no annotations of COCO's size.
_LARGEST_MEMBER = 2 << 30


def unpack(archive: Path, folder: Path, wanted: Callable[[str], bool], limit: int) -> list[str]:
    """Unpack the wanted members into a new folder, without the folders that they have inside the archive: their names.

    Args:
        archive: A zip file. The CRC of each member that is unpacked is checked.
        folder: Where they go; it must not exist, and appears when it is complete.
        wanted: Tells by its name, ``val2017/000000000139.jpg``, whether a member is unpacked.
        limit: Bytes that they may have in all.

    Raises:
        UserError: If it is no whole zip file, holds what it should not, or if the disk is full.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _checked(archive, [member for member in opened.infolist() if not member.is_dir()], wanted, limit)
            with unfinished_folder(folder, exclusive=True) as unfinished:
                for member in tqdm(members, desc=f'{archive.name}: unpacking', unit='file', leave=False):
                    with opened.open(member) as source, open(unfinished / _name(member), 'xb') as target:
                        shutil.copyfileobj(source, target, 1 << 20)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise UserError(f'{archive} is no whole zip file ({error}). Delete it and fetch it again.') from None
    except FileExistsError as error:
        raise UserError(f'{archive} cannot be unpacked to {folder}: {error.filename} is there already.') from None
    except OSError as error:
        raise UserError(f'{archive} cannot be unpacked to {folder}: {error.strerror or error}.') from None
    return [_name(member) for member in members]


def _checked(archive: Path, members: list[zipfile.ZipInfo], wanted: Callable[[str], bool],
             limit: int) -> list[zipfile.ZipInfo]:
    for member in members:
        if leaves_folder(member.filename) or stat.S_ISLNK(member.external_attr >> 16):
            raise UserError(f'{archive} holds {member.filename!r}, which leads out of the folder. It was not unpacked.')
    members = [member for member in members if wanted(member.filename)]
    # What is unpacked of a member never exceeds the size that is stated for it.
    total = sum(member.file_size for member in members)
    if total > limit or any(member.file_size > _LARGEST_MEMBER for member in members):
        raise UserError(f'{archive} would unpack to {total} bytes, expected at most {limit}. It was not unpacked.')
    if not members:
        raise UserError(f'{archive} holds nothing of what it should. Delete it and fetch it again.')
    return members


def _name(member: zipfile.ZipInfo) -> str:
    return member.filename.rsplit('/', 1)[-1]
