"""Running one row of a table, from the data to its figures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import torch
from mmdet.utils import register_all_modules

from ...checkpoints.named import is_named
from ...models.build import build_model
from ...utils.errors import UserError
from .folder import RESULT, claim, write_json
from .request import Request
from .results import provenance, table
from .steps import Evaluation, Speed

__all__ = ['check_weights', 'run_row']


def run_row(request: Request, *, resume: bool = False) -> Iterator[str]:
    """Run the remaining steps of a row.

    A stopped run leaves its state in the output folder; the next one with ``resume`` continues there.

    Yields:
        Lines to print: the progress, and at the end the row as a Markdown table with its provenance.

    Raises:
        UserError: If data, weights or the output folder are invalid; if possible, before anything runs.
    """
    if request.gpus > max(1, torch.cuda.device_count()):
        raise UserError(f'gpus={request.gpus}: PyTorch finds {torch.cuda.device_count()} on this machine.')
    register_all_modules(init_default_scope=True)
    check_weights(request)
    steps = request.steps
    for step in steps:
        if not step.done:
            step.check()
    claim(request.out, request.settings, resume)
    for step in steps:
        yield f'{step.name}: {step.state} ({step.folder})'
        if not step.done:
            step.run()
            yield f'{step.name}: {step.state}'
    result = _result(request)
    write_json(request.out / RESULT, result)
    yield f'\n{table([(request.row, result)])}\n\n{provenance(result)}'


def check_weights(request: Request) -> None:
    """Check the weights from which the row starts, if they are a file.

    Raises:
        UserError: If the file is missing or does not match the config's network.
    """
    weights = request.start_weights if request.row.table == 'coco' else request.weights
    if weights is None or '://' in weights:
        return
    if not is_named(weights) and not os.path.isfile(weights):
        raise UserError(
            f'Checkpoint not found: {weights}. Set weights=FILE'
            f'{", or train one first with pretrain=True" * (request.row.table == "coco")}.'
        )
    model = request.steps[0].cfg.model
    build_model(model if request.row.table == 'nanodet-plus' else model.backbone, weights)


def _result(request: Request) -> dict[str, Any]:
    steps = request.steps
    metrics = next(step.metrics for step in steps if isinstance(step, Evaluation) and step.metrics is not None)
    values = {}
    if 'accuracy/top1' in metrics:
        values['top1_error'] = 100 - metrics['accuracy/top1']
    if 'coco/bbox_mAP' in metrics or not metrics:  # COCO's metric returns nothing for a detector without detections
        values['mmap'] = 100 * metrics.get('coco/bbox_mAP', 0.0)
    for step in steps:
        if isinstance(step, Speed) and step.measured:
            values['images_per_second'] = step.measured['images_per_second']
    ran = {step.name: step.provenance for step in steps if step.provenance}
    return request.settings | dict(values=values, steps=ran)
