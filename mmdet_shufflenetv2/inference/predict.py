"""``snv2 predict``: run a detector on images, videos and cameras."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import asdict
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from ..config.load import CONFIG_SUFFIXES
from ..config.options import PredictOptions
from ..deploy.exported import Detections
from ..deploy.targets import is_exported
from ..utils.errors import UserError
from ..utils.images import IMAGE_SUFFIXES
from ..utils.installation import TRAINING
from ..utils.options import takes_options
from .detector import Detector
from .objects import Objects, Region, has_wanted_size, wanted_labels
from .savers import FORMATS, DrawingSaver
from .sources import VIDEO_SUFFIXES, Frame, Source, TruncatedError, find_sources
from .tracking import Tracker
from .views import Views

__all__ = ['Predicted', 'predict', 'split_arguments']


class Predicted(NamedTuple):
    """The result of a run."""

    frames: int
    #: The written files and folders; the folder of figures first.
    written: list[Path]
    #: Whether Ctrl-C stopped it.
    stopped: bool


def split_arguments(arguments: Sequence[str]) -> tuple[str | None, str | None, list[str]]:
    """Split ``[CONFIG] CHECKPOINT INPUT...`` or ``FILE.onnx INPUT...`` into config, weights and inputs.

    Raises:
        UserError: If one is missing, or an image is given instead of the checkpoint.
    """
    named = Path(arguments[0]).suffix in CONFIG_SUFFIXES or is_exported(arguments[0])
    config, rest = (arguments[0], list(arguments[1:])) if named else (None, list(arguments))
    weights = None if config is not None and is_exported(config) else rest.pop(0) if rest else None
    expected = 'CONFIG CHECKPOINT INPUT... or FILE.onnx INPUT... (CONFIG is optional if it is inside the checkpoint)'
    if rest and weights is not None and Path(weights).suffix.lower() in IMAGE_SUFFIXES + VIDEO_SUFFIXES:
        raise UserError(f'Expected a checkpoint, got {weights}. Arguments: {expected}.')
    if not rest:
        raise UserError(
            f'An argument is missing: got only {" ".join(arguments)}. Arguments: {expected}. INPUT is an '
            f'image, a folder, a video or webcam:0, and must be before `classes` and `save`.'
        )
    return config, weights, rest


@takes_options(PredictOptions)
def predict(options: PredictOptions) -> Predicted:
    """Detect objects, draw them and save them: ``predict(config, weights, ['photo.jpg'], 'outputs')``.

    See :class:`.Detector` for config and weights, :func:`.sources.find_sources` for inputs, and
    :class:`.PredictOptions` for outputs. The COCO file has all detections, all other outputs those with a score of at
    least ``score_thr``.

    Raises:
        UserError: If an option is invalid. For a truncated video, it is raised after everything else is finished.
    """
    for name in options.save:
        if name not in FORMATS:
            raise UserError(f'save={name} is unknown: expected one or more of {", ".join(FORMATS)}, after the inputs.')
    with _quiet_screen():
        return _predict(options)


def _quiet_screen() -> AbstractContextManager[object]:
    if not TRAINING:  # an exported detector on a machine without MMEngine
        return nullcontext()
    from ..compat.screen import quiet_screen

    return quiet_screen()


def _predict(options: PredictOptions) -> Predicted:
    views, region = Views(options.tiles, options.overlap, options.tta), Region(options.region)
    sources, out_dir = find_sources(options.inputs), Path(options.out_dir)
    track = _tracker(options, sources)
    detector = Detector(
        options.config,
        options.weights,
        device=options.device,
        shuffle_free=options.shuffle_free,
        cfg_options=options.cfg_options,
    )
    wanted = wanted_labels(options.classes, detector.classes)
    faults: list[TruncatedError] = []
    frames, stopped = 0, False
    with ExitStack() as stack:
        with _writing(out_dir):
            out_dir.mkdir(parents=True, exist_ok=True)
            drawing = partial(DrawingSaver, polygons=region.polygons)
            makers: list[tuple[Callable[..., Any], bool]] = [
                (drawing, False),
                *(FORMATS[name] for name in options.save),
            ]
            savers = [(stack.enter_context(make(out_dir, sources, detector)), wants_all) for make, wants_all in makers]
        lengths = [source.length for source in sources]
        total = None if None in lengths else sum(length or 0 for length in lengths)
        bar = stack.enter_context(tqdm(total=total, unit=' frames'))
        try:
            for frame, found in _detected(
                detector, _frames(sources, faults), views, max(options.batch_size, detector.batch)
            ):
                objects = track(frame, Objects.untracked(found).only(np.isin(found.labels, wanted)))
                objects = objects.only(
                    region(objects.boxes, *frame.image.shape[:2]) & has_wanted_size(objects.boxes, options)
                )
                seen = objects.only(objects.scores >= options.score_thr)
                with _writing(out_dir):
                    for saver, wants_all in savers:
                        saver.write(frame, objects if wants_all else seen)
                frames += 1
                bar.update()
        except KeyboardInterrupt:  # stops a camera
            stopped = True
        with _writing(out_dir):
            stack.close()
    if faults:
        raise UserError(f'{faults[0]} The results before that are in {out_dir}.')
    if frames:
        region.check_seen()
    return Predicted(frames, [saver.path for saver, _ in savers], stopped)


def _tracker(options: PredictOptions, sources: Sequence[Source]) -> Callable[[Frame, Objects], Objects]:
    if not options.track:
        return lambda frame, objects: objects
    if not any(source.is_video for source in sources):
        raise UserError('track=True needs a video or a camera, but all inputs are images. Remove it.')
    return Tracker(options.score_thr)


@contextmanager
def _writing(out_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = f'{error.strerror} ({error.filename})' if error.filename else error.strerror or error
        raise UserError(f'out_dir={out_dir} cannot be written: {what}. Choose another folder.') from error


def _frames(sources: Sequence[Source], faults: list[TruncatedError]) -> Iterator[Frame]:
    """The frames of all sources. A truncated video is added to ``faults``, and the other sources are still read."""
    for source in sources:
        try:
            yield from source.frames()
        except TruncatedError as fault:
            faults.append(fault)


def _detected(
    detector: Detector, frames: Iterator[Frame], views: Views, batch_size: int
) -> Iterator[tuple[Frame, Detections]]:
    while batch := list(islice(frames, 1 if views.many else batch_size)):
        yield from zip(batch, detector([frame.image for frame in batch], **asdict(views), batch_size=batch_size))
