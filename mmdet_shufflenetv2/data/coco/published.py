"""The files of https://cocodataset.org/#download.

The site states no checksums. The MD5 sums and sizes are those in the download scripts of many public projects, which
all agree.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ['ANNOTATIONS', 'ARCHIVES', 'BASE_URL', 'SPLITS', 'Archive']

BASE_URL = 'http://images.cocodataset.org'


class Archive(NamedTuple):
    """A zip file and its content."""

    #: Its path on the server.
    path: str
    size: int
    md5: str
    #: Number of images in it; 0 for the annotations.
    images: int
    #: Approximate unpacked size in bytes.
    unpacked: int

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.rsplit('/', 1)[-1]


ANNOTATIONS = 'annotations'
SPLITS = ('val2017', 'train2017')
ARCHIVES = {
    ANNOTATIONS: Archive(
        'annotations/annotations_trainval2017.zip', 252907541, 'f4bbac642086de4f52a3fdda2de5fa2c', 0, 490_000_000
    ),  # only instances_*.json
    'val2017': Archive('zips/val2017.zip', 815585330, '442b8da7639aecaf257c1dceb8ba8c80', 5000, 830_000_000),
    'train2017': Archive('zips/train2017.zip', 19336861798, 'cced6f7f71b7629ddf16f17bbcfab6b2', 118287, 19_700_000_000),
}
