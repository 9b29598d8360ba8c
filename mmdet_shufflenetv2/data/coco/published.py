"""What is published at https://cocodataset.org/#download.

The site states no checksums. The MD5 sums are those that the download scripts of many public
projects pin, all the same; so are the sizes in bytes.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ['ANNOTATIONS', 'ARCHIVES', 'BASE_URL', 'SPLITS', 'Archive']

BASE_URL = 'http://images.cocodataset.org'


class Archive(NamedTuple):
    """A zip file and what is in it."""

    #: Its address below the base.
    path: str
    size: int
    md5: str
    #: Images in it; 0 in that of the annotations.
    images: int
    #: Bytes that are unpacked, roughly.
    unpacked: int

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.rsplit('/', 1)[-1]


ANNOTATIONS = 'annotations'
SPLITS = ('val2017', 'train2017')
ARCHIVES = {
    ANNOTATIONS: Archive('annotations/annotations_trainval2017.zip', 252907541, 'f4bbac642086de4f52a3fdda2de5fa2c', 0,
                         490_000_000),  # instances_*.json alone
    'val2017': Archive('zips/val2017.zip', 815585330, '442b8da7639aecaf257c1dceb8ba8c80', 5000, 830_000_000),
    'train2017': Archive('zips/train2017.zip', 19336861798, 'cced6f7f71b7629ddf16f17bbcfab6b2', 118287, 19_700_000_000),
}
