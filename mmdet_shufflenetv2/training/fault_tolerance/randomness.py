"""Random numbers that follow from where a run is, not from what it did before.

A generator's state is the product of every draw since the start: to go on exactly where a run was killed, one would
have to keep the states of all processes and all their loader workers, in the middle of whatever they did. Instead each
piece of work gets a seed of its own, derived from the run's seed and from what is being worked on:

- an image: the epoch and its place in the epoch's order. So its augmentation does not depend on which worker or which
  process loads it, nor on the number of either;
- the boxes that a head samples for an image: the step and the image's place in the batch of all processes;
- the rest of a training step: its number and the process (dropout).

Nothing needs to be stored but the run's seed.
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
    """A seed of 32 bits from non-negative numbers; neighbours give unrelated seeds."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def seed_all(seed: int) -> None:
    """Seed Python's, NumPy's and PyTorch's generators, those of GPUs too where they are in use."""
    random.seed(seed)
    np.random.seed(seed)
    # torch.manual_seed records a stack trace for GPUs that are not in use yet, which takes a millisecond.
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized() and not is_forked_from_cuda():
        torch.cuda.manual_seed_all(seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within it, the CPU's generators start from ``seed``; afterwards they are as they were."""
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
