"""Inject faults into training runs, and count how many are survived.

    python tests/training/fault_tolerance/chaos.py --kills 20 --mutations 500 --seed 0

A training run (Faster R-CNN on a small Shapes, two epochs of six steps) is killed, or its checkpoints are corrupted, or
its disk is full. It continues with ``--resume``, and its weights must equal those of an undisturbed run bit for bit.
The table shows how many faults were injected and survived, and the most steps that had to be repeated. A checkpoint
is saved every six steps.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / 'tests'), str(ROOT / 'tests' / 'training' / 'fault_tolerance')]

STEPS = 6  # of an epoch, after which a checkpoint is saved


@dataclass
class Tally:
    """One kind of fault."""

    fault: str
    tried: int = 0
    survived: int = 0
    #: The most steps that were lost at once; None where a fault cannot lose any.
    lost: int | None = None

    def note(self, survived: bool, lost: int | None = None) -> None:
        """Count one fault."""
        self.tried += 1
        self.survived += survived
        if lost is not None:
            self.lost = max(self.lost or 0, lost)


class Chaos:
    """A folder with data, config and the undisturbed run.

    Args:
        folder: Where everything goes.
        seed: Of all that is random here.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        from conftest import SMALL_CONFIG
        from random_run import RANDOM

        from mmdet_shufflenetv2.data import make_shapes

        self.folder, self.random = folder, random.Random(seed)
        self.data = make_shapes(folder / 'shapes', num_train=12, num_val=6, size=96)
        small, self.config = folder / 'small.py', folder / 'config.py'
        small.write_text(SMALL_CONFIG.format(root=ROOT, base='faster_rcnn_snv2_shapes.py', data=self.data))
        self.config.write_text(
            RANDOM.format(config=small, workers=0, hooks='').replace('max_keep_ckpts=1', 'max_keep_ckpts=3')
        )
        started = time.monotonic()
        self.whole = self.run('whole')
        self.seconds = time.monotonic() - started

    def command(self, name: str) -> list[str]:
        """The command line that starts or resumes a run."""
        return [
            sys.executable,
            str(ROOT / 'tools' / 'train.py'),
            str(self.config),
            '--work-dir',
            str(self.folder / name),
            '--resume',
        ]

    def run(self, name: str) -> Path:
        """Run to the end."""
        done = subprocess.run(self.command(name), capture_output=True, text=True, check=False, env=_environment())
        if done.returncode != 0:
            raise RuntimeError(done.stderr[-2000:])
        return self.folder / name / 'epoch_2.pth'

    def is_same(self, checkpoint: Path) -> bool:
        """Whether a run ended with the weights, the optimizer and the losses of the undisturbed one."""
        from random_run import assert_same_run

        try:
            assert_same_run(self.whole, checkpoint)
        except AssertionError:
            return False
        return True

    def kill(self, tally: Tally, kills: Sequence[bool]) -> None:
        """Kill one run again and again, each time while it writes a checkpoint or at random, then let it finish."""
        name = f'killed_{len(list(self.folder.iterdir()))}'
        work_dir, lost = self.folder / name, []
        for while_saving in kills:
            process = subprocess.Popen(
                self.command(name), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=_environment()
            )
            if while_saving:
                while process.poll() is None and not any(work_dir.glob('.*.unfinished*')):
                    time.sleep(0.0005)
            else:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(self.random.uniform(0.3, 1.0) * self.seconds)
            process.send_signal(signal.SIGKILL)
            process.wait()
            lost.append(self._steps_done(work_dir) - self._steps_saved(work_dir))
        same = self.is_same(self.run(name))
        for steps in lost:
            tally.note(same and steps <= STEPS, steps)

    def _steps_done(self, work_dir: Path) -> int:
        logs = sorted(work_dir.glob('*/vis_data/scalars.json'))
        lines = [json.loads(line) for log in logs for line in log.read_text().splitlines() if line.endswith('}')]
        return max((line.get('step', 0) for line in lines), default=0)

    def _steps_saved(self, work_dir: Path) -> int:
        from mmdet_shufflenetv2.checkpoints.latest import is_valid_checkpoint
        from mmdet_shufflenetv2.checkpoints.safe_loading import load

        last = work_dir / 'last_checkpoint'
        if not last.exists():
            return 0
        if not is_valid_checkpoint(last.read_text()):
            raise RuntimeError(f'{last} names a file that is not valid')
        return load(last.read_text())['meta']['iter']

    def corrupt(self, tally: Tally, damage: Callable[[bytes], bytes]) -> None:
        """Corrupt the latest checkpoint; the run continues from the previous one."""
        name = f'corrupt_{len(list(self.folder.iterdir()))}'
        shutil.copytree(self.folder / 'whole', self.folder / name)
        latest = self.folder / name / 'epoch_2.pth'
        latest.write_bytes(damage(latest.read_bytes()))
        (self.folder / name / 'last_checkpoint').write_text(str(latest))
        tally.note(self.is_same(self.run(name)), STEPS)

    def fill_disk(self, tally: Tally) -> None:
        """Let files grow no larger than a part of a checkpoint, then lift the limit."""
        name = f'full_{len(list(self.folder.iterdir()))}'
        shutil.copytree(self.folder / 'whole', self.folder / name)
        (self.folder / name / 'epoch_2.pth').unlink()
        (self.folder / name / 'last_checkpoint').write_text(str(self.folder / name / 'epoch_1.pth'))
        limit = int(self.whole.stat().st_size * self.random.uniform(0.1, 0.9))
        full = subprocess.run(
            self.command(name),
            capture_output=True,
            text=True,
            check=False,
            env=_environment(),
            preexec_fn=lambda: (
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
            ),
        )
        said = full.returncode == 2 and 'full' in full.stderr and 'Traceback' not in full.stderr
        tally.note(said and self._steps_saved(self.folder / name) == STEPS and self.is_same(self.run(name)), STEPS)

    def mutate_annotations(self, tally: Tally) -> None:
        """Change a few values or characters of the annotation file; it is refused in words, or can be trained on."""
        from mmdet.registry import DATASETS
        from mmengine.registry import init_default_scope

        from mmdet_shufflenetv2 import UserError
        from mmdet_shufflenetv2.data import prepare_dataset
        from mmdet_shufflenetv2.training.fault_tolerance import broken_images  # noqa: F401 - registers

        init_default_scope('mmdet')
        source = self.data / 'annotations' / 'instances_train2017.json'
        mutated = self.folder / 'mutated.json'
        if self.random.random() < 0.3:
            mutated.write_bytes(self._mutate_bytes(source.read_bytes()))
        else:
            mutated.write_text(json.dumps(self._mutate_values(json.loads(source.read_text()))))
        cfg = dict(
            type='CocoDataset',
            data_root=str(self.data),
            ann_file=str(mutated),
            data_prefix=dict(img='train2017/'),
            metainfo=dict(classes=('circle', 'square', 'triangle', 'star', 'cross')),
            pipeline=[
                dict(type='LoadCompleteImage'),
                dict(type='LoadAnnotations', with_bbox=True),
                dict(type='PackDetInputs'),
            ],
        )
        try:
            prepare_dataset(cfg, max_broken=10)
            dataset = DATASETS.build(cfg)
            for index in range(len(dataset)):
                dataset[index]
        except UserError:
            pass
        except Exception as error:
            print(f'{type(error).__name__}: {error}', file=sys.stderr)
            shutil.copy(mutated, self.folder / f'not_survived_{tally.tried}.json')
            tally.note(False)
            return
        tally.note(True)

    def _mutate_values(self, root: object) -> object:
        values = [None, True, -1, 0, 1e400, float('nan'), 10**30, '', 'x' * 1000, [], {}, [[]], '../../etc/passwd', 1.5]
        for _ in range(self.random.randint(1, 3)):
            holder, key = None, None
            node = root
            while isinstance(node, (dict, list)) and len(node) and (holder is None or self.random.random() < 0.8):
                holder = node
                key = self.random.choice(list(node) if isinstance(node, dict) else range(len(node)))
                node = holder[key]
            if self.random.random() < 0.3:
                del holder[key]
            else:
                holder[key] = copy.deepcopy(self.random.choice(values))
        return root

    def _mutate_bytes(self, content: bytes) -> bytes:
        changed = bytearray(content)
        for _ in range(self.random.randint(1, 8)):
            at = self.random.randrange(max(len(changed), 1))
            kind = self.random.randrange(3)
            if kind == 0 and changed:
                changed[at] = self.random.randrange(256)
            elif kind == 1:
                del changed[at : at + self.random.randint(1, 50)]
            else:
                del changed[at + 1 :]
        return bytes(changed)

    def mutate_image(self, tally: Tally) -> None:
        """Change a few bytes of an image; it is named as broken, or loaded."""
        import numpy as np

        from mmdet_shufflenetv2.training.fault_tolerance.broken_images import LoadCompleteImage
        from mmdet_shufflenetv2.utils.errors import BrokenImageError

        source = self.random.choice(sorted((self.data / 'train2017').iterdir()))
        mutated = self.folder / f'mutated{source.suffix}'
        mutated.write_bytes(self._mutate_bytes(source.read_bytes()))
        try:
            image = LoadCompleteImage().transform(dict(img_path=str(mutated)))['img']
            tally.note(image.dtype == np.uint8 and image.ndim == 3)
        except BrokenImageError:
            tally.note(True)


def _environment() -> dict[str, str]:
    import torch

    threads = str(torch.get_num_threads())  # another number of them adds in another order
    return os.environ | dict(PYTHONPATH=str(ROOT), CUDA_VISIBLE_DEVICES='', OMP_NUM_THREADS=threads)


def run(
    folder: Path, seed: int, kills: int, mutations: int, corrupt: int, full: int, kills_a_run: int = 4
) -> list[Tally]:
    """Inject all kinds of faults and count them."""
    chaos = Chaos(folder, seed)
    tallies = [
        Tally(fault)
        for fault in (
            'SIGKILL at a random moment',
            'SIGKILL while a checkpoint is written',
            'latest checkpoint corrupt',
            'disk full',
            'annotation file mutated',
            'image mutated',
        )
    ]
    killed, saving, corrupting, filling, annotations, images = tallies
    while killed.tried + saving.tried < kills:
        left = kills - killed.tried - saving.tried
        while_saving = saving.tried < killed.tried
        chaos.kill(saving if while_saving else killed, [while_saving] * min((left + 1) // 2, kills_a_run))
    size = chaos.whole.stat().st_size
    damages = [
        lambda content: content[: chaos.random.randrange(size)],
        lambda content: b'',
        lambda content: chaos._mutate_bytes(content),
        lambda content: bytes(len(content)),
    ]
    for number in range(corrupt):
        chaos.corrupt(corrupting, damages[number % len(damages)])
    for _ in range(full):
        chaos.fill_disk(filling)
    for number in range(mutations):
        if number % 2:
            chaos.mutate_annotations(annotations)
        else:
            chaos.mutate_image(images)
    return tallies


def table(tallies: list[Tally]) -> str:
    """The table in Markdown."""
    lines = ['| fault | tried | survived | most steps lost |', '| --- | --- | --- | --- |']
    return '\n'.join(
        lines
        + [
            f'| {tally.fault} | {tally.tried} | {tally.survived} | {"" if tally.lost is None else tally.lost} |'
            for tally in tallies
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--kills', type=int, default=20)
    parser.add_argument('--mutations', type=int, default=500)
    parser.add_argument('--corrupt', type=int, default=8)
    parser.add_argument('--full', type=int, default=3)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--keep', type=Path, help='folder for everything; default: a temporary one')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        tallies = run(folder, args.seed, args.kills, args.mutations, args.corrupt, args.full)
    print(table(tallies))
    sys.exit(any(tally.survived < tally.tried for tally in tallies))


if __name__ == '__main__':
    main()
