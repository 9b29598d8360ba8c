"""Track the objects of a video with ByteTrack from the package ``trackers``."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..utils.errors import UserError
from .objects import Objects
from .sources import Frame, Source

__all__ = ['Tracker']

# ByteTrack continues a track with detections down to this score.
_LOWEST_SCORE = 0.1


class Tracker:
    """Tracks the objects of each video.

    An object gets its id in the second frame with a detection, and loses it after a second without one. The id does not
    depend on the class, so an object keeps it if its class changes.

    Args:
        score_thr: Lowest score of a new object. Later detections can have scores down to 0.1.

    Raises:
        UserError: If the package is missing.
    """

    def __init__(self, score_thr: float) -> None:
        try:
            from trackers import ByteTrackTracker  # optional
        except ImportError as error:
            raise UserError(
                "track=True needs the package trackers: pip install 'trackers>=2.6', or pip install -e '.[track]'"
            ) from error
        self._make, self._score_thr = ByteTrackTracker, score_thr
        self._current: tuple[Source, Any] | None = None

    def __call__(self, frame: Frame, objects: Objects) -> Objects:
        """Add ids to the objects of the next frame. Objects of an image get none."""
        if not frame.source.is_video:
            return objects
        import supervision  # the tracker's own type of detections

        rows = np.flatnonzero(objects.scores >= min(_LOWEST_SCORE, self._score_thr))
        tracked = self._tracker(frame.source).update(
            supervision.Detections(xyxy=objects.boxes[rows], confidence=objects.scores[rows], data=dict(row=rows))
        )
        ids = objects.ids.copy()
        if len(tracked):
            ids[tracked.data['row']] = tracked.tracker_id
        return objects._replace(ids=ids)

    def _tracker(self, source: Source) -> Any:
        if self._current is None or self._current[0] is not source:
            self._current = (
                source,
                self._make(
                    frame_rate=source.rate,
                    track_activation_threshold=self._score_thr,
                    high_conf_det_threshold=self._score_thr,
                ),
            )
        return self._current[1]
