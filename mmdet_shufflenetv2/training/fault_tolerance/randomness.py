"""Random numbers that depend on the position in a run, not on its history.

The state of a random generator depends on all numbers drawn so far. To resume a killed run exactly, the states of all
processes and data loader workers would have to be saved. Instead, each unit of work gets a seed that is derived from
the seed of the run and the position:

- Loading an image: the epoch, and the index in the order of the epoch. So the augmentation does not depend on the
  worker or process, or on their number.
- Sampling boxes for an image: the step, and the index of the image in the batch of all processes.
- Everything else in a training step, such as dropout: the step and the process.

Only the seed of the run has to be saved.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from ...compat.private import is_forked_from_cuda

__all__ = ['derive_seed', 'seed_all', 'seeded']


def derive_seed(*numbers: int) -> int:
    """A 32-bit seed from non-negative integers. Similar integers give unrelated seeds."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def seed_all(seed: int) -> None:
    """Seed the generators of Python, NumPy and PyTorch, including those of GPUs in use."""
    random.seed(seed)
    np.random.seed(seed)
    # torch.manual_seed records a stack trace if GPUs are not in use yet, which takes a millisecond.
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized() and not is_forked_from_cuda():  # type: ignore[no-untyped-call]  # of PyTorch
        torch.cuda.manual_seed_all(seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the CPU generators inside the context, and restore their states afterwards."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
