"""One function per command: it calls the package and prints the result.

Modules are imported inside the functions. So ``--help`` does not wait for PyTorch, and commands that do not need
PyTorch run without it.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from ..config import options as o
from ..utils.options import in_words

__all__ = ['COMMANDS', 'GROUPS', 'Command']


def train(options: o.TrainOptions) -> None:
    from ..config.load import CONFIG_SUFFIXES
    from ..training.train import train

    written = train(options)
    for name, path in written.items():
        print(f'{name + ":":<12}{path}')
    if options.data and int(os.environ.get('RANK', 0)) == 0:
        model = [f'{key}={value}' for key, value in (options.cfg_options or {}).items() if key.startswith('model.')]
        more = f' --cfg-options {shlex.join(model)}' if model else ''
        last, config = Path(written.get('best') or written['checkpoint']), Path(options.config)
        named = config.suffix in CONFIG_SUFFIXES  # otherwise the checkpoint contains it
        files = shlex.join([options.config] * named + [str(last)])
        graph = f' {shlex.quote(config.stem if named else last.parent.name)}.onnx'
        print('next:')
        for command, more_files in (('eval', ''), ('predict', ' IMAGE'), ('export', graph)):
            print(f'  snv2 {command} {files}{more_files}{more}')


def evaluate(options: o.EvaluateOptions) -> None:
    from ..evaluation.evaluate import evaluate

    evaluate(options)


def predict(options: o.PredictOptions) -> None:
    from ..inference.predict import predict, split_arguments

    # Only the suffix of the first argument tells whether it is a config.
    given = [argument for argument in (options.config, options.weights, *options.inputs) if argument is not None]
    config, weights, inputs = split_arguments(given)
    done = predict(replace(options, config=config, weights=weights, inputs=inputs))
    print(f'{"stopped after" if done.stopped else "done:"} {done.frames} images or frames\nfigures:  {done.written[0]}')
    for path in done.written[1:]:
        print(f'results:  {path}')


def export(options: o.ExportOptions) -> None:
    from ..deploy import export_model
    from ..deploy.targets import target_of

    checked, target = export_model(options), target_of(options.out, options.target)
    if not target.runs_here:
        print(
            f'{options.out}: inputs and outputs are as expected. Its numbers were not compared, since '
            f'{target.name} runs on {target.system} only: export there to compare them.'
        )
        return
    what = (
        f'features to {checked.difference:.1g}'
        if options.backbone_only
        else f'scores to {checked.difference:.1g}, boxes to {checked.box_difference:.1g} pixels'
    )
    if checked.agreement is None and not options.backbone_only:
        what += f'; full image: {checked.matched} of {checked.found} detections match'
    in_fp32 = '' if checked.agreement is None else ' before conversion'
    print(f'{options.out}{in_fp32}: matches the PyTorch detector on {checked.image} ({what})')
    if checked.agreement is not None:
        print(f'{options.out}: {checked.agreement:.0%} of the detections match those in fp32 on this machine')
    if target.next_step and not options.backbone_only:
        print(f'next: {target.next_step.format(path=options.out, stem=Path(options.out).with_suffix(""))}')


def browse(options: o.BrowseOptions) -> None:
    from ..training.browse import browse

    for sheet in browse(options):
        print(sheet)


def check_data(options: o.CheckDataOptions) -> int:
    if options.formats:
        from ..data.layouts.find import described_formats

        print(described_formats())
        return 0
    from ..training.check_dataset import check_dataset

    reports = check_dataset(options.source, options.images, options.data, options.json)
    print(in_words('\n'.join(map(str, reports))))
    return 1 if any(report.fatal for report in reports) else 0


def convert(options: o.ConvertOptions) -> None:
    from ..data.conversion import convert
    from ..data.summary import summary

    print(in_words(summary(convert(options.data, options.out, options.to))))


def analyze(options: o.AnalyzeOptions) -> None:
    from ..evaluation.error_report import analyze

    scores = analyze(
        options.results, options.ann, options.images, options.out, score_thr=options.score_thr, worst=options.worst
    )
    print(f'mmAP {scores.ap:.3f}, AP50 {scores.ap50:.3f}, AP75 {scores.ap75:.3f}\nreport: {options.out}')


def plot(options: o.PlotOptions) -> None:
    from ..visualization.curves import plot_runs

    print(plot_runs(options.runs, options.out))


def app(options: o.AppOptions) -> None:
    from ..inference.models import find_models
    from ..inference.page import serve

    serve(find_models(options.models), device=options.device, host=options.host, port=options.port)


def download(options: o.DownloadOptions) -> None:
    if options.name is not None:
        from ..checkpoints.named import fetch_weights

        print(fetch_weights(options.name, options.source))
        return
    from ..data.coco import prepare_coco

    more = prepare_coco(options.root, options.splits, options.subset, options.seed, options.source, options.base_url)
    print(shlex.join(['snv2', 'train', 'configs/faster_rcnn_snv2.py', '--data-root', options.root, *more]))


def complexity(options: o.ComplexityOptions) -> None:
    if bool(options.configs) == options.variants:
        from ..utils.errors import UserError

        raise UserError('Expected either config files or `variants`.')
    if options.variants:
        from ..paper.variants import variants, variants_table

        print('counting parameters and multiply-adds of every backbone variant', file=sys.stderr)
        print(variants_table(variants()))
        return
    from ..profiling.complexity import detector_complexity, markdown_table

    rows = []
    for number, config in enumerate(options.configs, start=1):
        print(f'[{number}/{len(options.configs)}] {config}', file=sys.stderr)
        rows.append(detector_complexity(config, *options.shape))
    print(markdown_table(rows))


def benchmark(options: o.BenchmarkOptions) -> None:
    from ..profiling.benchmark import Task, run_benchmarks

    tasks = [
        Task(
            *shape,
            threads=options.threads,
            device=options.device,
            widen_factor=options.width,
            config=config,
            checkpoint=options.checkpoint,
        )
        for config in options.config or [None]
        for shape in options.shape
    ]
    typed = sys.argv[2:] if sys.argv[1:2] == ['benchmark'] else sys.argv[1:]  # snv2 benchmark or tools/benchmark.py
    out = run_benchmarks(
        tasks,
        out=Path(options.out_dir) if options.out_dir else None,
        rounds=options.rounds,
        memory=not options.no_memory,
        skip=options.skip,
        command=shlex.join(['snv2', 'benchmark', *typed]),
    )
    print((out / 'README.md').read_text())
    print(f'{out}/README.md, results.json, latency.png')


def guidelines(options: o.GuidelinesOptions) -> None:
    from ..paper.guidelines import report, suite, tables
    from ..profiling.timing import slug

    measured = suite.run(
        list(tables.TABLES) if options.table == 'all' else [options.table],
        device=options.device,
        threads=options.threads,
        runtime=options.runtime,
        family=options.channels,
        seconds=options.seconds,
        out_dir=options.out_dir,
    )
    print(report.markdown(measured))
    for path in report.save(measured, options.out_dir or Path('benchmarks/guidelines') / slug(measured.machine)):
        print(path)


def design_check(options: o.DesignCheckOptions) -> None:
    from ..paper.design_check import figure, report
    from ..paper.design_check.check import check_designs
    from ..visualization import check_plot_file

    if options.figure:
        check_plot_file(options.figure, 'figure')
    check = check_designs(
        options.configs,
        height=options.shape[0],
        width=options.shape[1],
        device=options.device,
        threads=options.threads,
        rounds=options.rounds,
    )
    if len(options.configs) == 1:
        print(report.layers_markdown(check.checked[0]) + '\n')
    print(report.sums_markdown(check))
    if options.figure:
        figure.draw(check, options.figure)
        print(options.figure)


def reproduce(options: o.ReproduceOptions) -> None:
    root = Path('work_dirs/reproduce')
    if options.report:
        from ..paper.reproduce.results import write_report

        write_report(options.report, options.out or root)
        print(f'tables: {options.report}')
        return
    from ..paper.reproduce.chain import run_row
    from ..paper.reproduce.dry_run import dry_run
    from ..paper.reproduce.request import Request
    from ..paper.reproduce.rows import find_row

    row = find_row(options.table, options.width, star=options.star, se=options.se, size=options.size)
    request = Request(
        row,
        options.out or root / row.name,
        data_root=options.data_root,
        pretrain=options.pretrain,
        imagenet_root=options.imagenet_root,
        weights=options.weights,
        config=options.config,
        classifier_config=options.classifier_config,
        gpus=options.gpus,
    )
    for line in dry_run(request) if options.dry_run else run_row(request, resume=options.resume):
        print(line, flush=True)


def demo(options: o.DemoOptions) -> None:
    import torch

    from ..evaluation.evaluate import evaluate
    from ..training.train import train

    if 'OMP_NUM_THREADS' not in os.environ:
        # A step is too small to split: two threads would only compete with the data workers for cores.
        torch.set_num_threads(1)
    work_dir = Path(options.work_dir or Path('work_dirs') / Path(options.config).stem)
    written = train(options.config, work_dir=str(work_dir), resume='auto')
    figures = work_dir / 'figures'
    metrics = evaluate(
        options.config, str(written['checkpoint']), work_dir=str(work_dir), show_dir=str(figures.resolve())
    )
    print(
        f'\nAP50 on images outside the training set: {metrics["coco/bbox_mAP_50"]:.3f}, '
        f'mmAP {metrics["coco/bbox_mAP"]:.3f}'
    )
    print(
        f'checkpoint  {written["checkpoint"]}\nmetrics     {work_dir / "metrics.json"}\n'
        f'curves      {written["curves"]}\nfigures     {figures} (ground truth left, detections right)'
    )


def env(options: o.EnvOptions) -> None:
    from ..compat import report

    print(report())


def run(options: o.RunOptions) -> None:
    from .run_script import run_script

    run_script(options.script, options.arguments)


class Command(NamedTuple):
    """A sub-command of ``snv2``."""

    options: type
    run: Callable[[Any], int | None]
    #: One line of ``snv2 --help``.
    summary: str
    #: Environment that must be set before PyTorch is imported.
    environment: Mapping[str, str] = MappingProxyType({})
    #: The function that takes the same options in Python.
    function: str | None = None


GROUPS: dict[str, dict[str, Command]] = {
    'Data': {
        'check-data': Command(o.CheckDataOptions, check_data, 'list all problems of a data set'),
        'convert': Command(
            o.ConvertOptions, convert, 'write a data set as COCO, YOLO or VOC', function='data.conversion.convert'
        ),
        'browse': Command(
            o.BrowseOptions, browse, 'draw the images that the model is trained on', function='training.browse.browse'
        ),
        'download': Command(o.DownloadOptions, download, 'download COCO 2017 or published weights'),
    },
    'Training': {
        'train': Command(
            o.TrainOptions, train, 'train a detector, or a classifier for its backbone', function='training.train.train'
        ),
        'eval': Command(o.EvaluateOptions, evaluate, 'evaluate a checkpoint', function='evaluation.evaluate.evaluate'),
        'analyze': Command(o.AnalyzeOptions, analyze, "report a detector's mistakes"),
        'plot': Command(o.PlotOptions, plot, 'plot loss, learning rate and AP of runs'),
        'demo': Command(o.DemoOptions, demo, 'train, evaluate and draw on built-in data'),
    },
    'Use': {
        'predict': Command(
            o.PredictOptions,
            predict,
            'detect objects in images, videos and cameras',
            function='inference.predict.predict',
        ),
        'app': Command(o.AppOptions, app, 'try detectors in a browser'),
        'export': Command(
            o.ExportOptions, export, 'export a detector to one file for another runtime', function='deploy.export_model'
        ),
    },
    'Measure': {
        # Waiting threads that spin would slow down the runtime that is being timed.
        'benchmark': Command(
            o.BenchmarkOptions,
            benchmark,
            'measure latency of a backbone or detector',
            {'OMP_WAIT_POLICY': 'PASSIVE', 'GOMP_SPINCOUNT': '0'},
        ),
        'complexity': Command(o.ComplexityOptions, complexity, 'count parameters and multiply-adds'),
        'guidelines': Command(o.GuidelinesOptions, guidelines, "measure the paper's four guidelines on this machine"),
        'design-check': Command(o.DesignCheckOptions, design_check, 'check backbones against the guidelines'),
        'reproduce': Command(o.ReproduceOptions, reproduce, "reproduce a row of the paper's tables or a NanoDet-Plus"),
    },
    'Setup': {
        'env': Command(o.EnvOptions, env, 'print versions for a bug report'),
        'run': Command(o.RunOptions, run, "run one of MMDetection's own tools"),
    },
}
COMMANDS = {name: command for group in GROUPS.values() for name, command in group.items()}
