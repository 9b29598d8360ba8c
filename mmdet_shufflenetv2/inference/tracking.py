"""Ids for the objects of a video, by ByteTrack as the package ``trackers`` has it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..utils.errors import UserError
from .objects import Objects
from .sources import Frame, Source

__all__ = ['Tracker']

# ByteTrack follows an object through frames in which its score is low, down to this one.
_LOWEST_SCORE = 0.1


class Tracker:
    """Follows objects through the frames of each video.

    An object has its id from the second frame on in which it is found, until it is missing for a second. Class does not
    matter: an object that is once taken for another class keeps its id.

    Args:
        score_thr: Lowest score of an object that is new. It is followed down to 0.1.

    Raises:
        UserError: If the package is missing.
    """

    def __init__(self, score_thr: float) -> None:
        try:
            from trackers import ByteTrackTracker  # optional
        except ImportError as error:
            raise UserError("track=True needs the package trackers: pip install 'trackers>=2.6', or "
                            "pip install -e '.[track]'") from error
        self._make, self._score_thr = ByteTrackTracker, score_thr
        self._current: tuple[Source, Any] | None = None

    def __call__(self, frame: Frame, objects: Objects) -> Objects:
        """The objects of the next frame, in their order, with ids; those of an image get none."""
        if not frame.source.is_video:
            return objects
        import supervision  # the tracker's own type of detections
        rows = np.flatnonzero(objects.scores >= min(_LOWEST_SCORE, self._score_thr))
        tracked = self._tracker(frame.source).update(supervision.Detections(
            xyxy=objects.boxes[rows], confidence=objects.scores[rows], data=dict(row=rows)))
        ids = objects.ids.copy()
        if len(tracked):
            ids[tracked.data['row']] = tracked.tracker_id
        return objects._replace(ids=ids)

    def _tracker(self, source: Source) -> Any:
        if self._current is None or self._current[0] is not source:
            self._current = source, self._make(
                frame_rate=source.rate, track_activation_threshold=self._score_thr,
                high_conf_det_threshold=self._score_thr)
        return self._current[1]
