import sys

import numpy as np
import pytest

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.inference.objects import Objects
from mmdet_shufflenetv2.inference.sources import Frame, Source
from mmdet_shufflenetv2.inference.tracking import Tracker

VIDEO = Source('a.mp4', 'a', 'video', 20, 10.0)


def follow(tracker, source, frames):
    """The ids in each frame of ``(x, score)`` of each object, or None for one that is not found."""
    ids = []
    for number, frame in enumerate(frames):
        rows = [
            (x, 50 * row, x + 40, 50 * row + 40, score, row % 2)
            for row, found in enumerate(frame)
            if found
            for x, score in [found]
        ]
        table = np.array(rows, np.float32).reshape(-1, 6)
        found = Objects(table[:, :4], table[:, 4], table[:, 5].astype(int), np.full(len(table), -1))
        tracked = tracker(Frame(source, number, np.zeros((200, 300, 3), np.uint8)), found)
        assert (tracked.boxes == found.boxes).all()
        ids.append(tracked.ids.tolist())
    return ids


def test_objects_keep_their_ids_at_low_scores():
    pytest.importorskip('trackers')
    frames = [[(5 * n, 0.9), (200 - 5 * n, 0.35 if n < 5 else 0.15), (100, 0.05)] for n in range(10)]
    ids = follow(Tracker(0.3), VIDEO, frames)
    assert ids[0] == [-1, -1, -1]
    assert sorted(ids[1][:2]) == [0, 1]
    assert ids[1:] == [ids[1]] * 9
    assert ids[1][2] == -1


def test_lost_object_keeps_its_id_for_a_second():
    pytest.importorskip('trackers')
    found, missing = [(50, 0.9)], [None]
    assert follow(Tracker(0.3), VIDEO, [found] * 3 + [missing] * 5 + [found])[-1] == [0]
    assert follow(Tracker(0.3), VIDEO, [found] * 3 + [missing] * 15 + [found] * 2)[-1] == [1]


def test_ids_restart_with_each_video_and_images_have_none():
    pytest.importorskip('trackers')
    tracker = Tracker(0.3)
    assert follow(tracker, VIDEO, [[(50, 0.9)]] * 3) == [[-1], [0], [0]]
    assert follow(tracker, Source('a.jpg', 'a_2', 'image'), [[(50, 0.9)]]) == [[-1]]
    assert follow(tracker, Source('b.mp4', 'b', 'video', 3, 10.0), [[(50, 0.9)]] * 3) == [[-1], [0], [0]]


def test_missing_package_is_reported(monkeypatch):
    monkeypatch.setitem(sys.modules, 'trackers', None)
    with pytest.raises(UserError, match="pip install 'trackers>=2.6'"):
        Tracker(0.3)
