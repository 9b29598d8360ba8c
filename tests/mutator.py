"""Random mutations of a JSON document, by seed."""

import copy
import json

STRANGE = [
    None,
    True,
    -1,
    0,
    1e308,
    float('nan'),
    float('inf'),
    10**400,
    '',
    'text',
    '\ud800\x1b[31m\0',
    [],
    [[]],
    {},
    {'id': {}},
    [1, 2, 3, 4],
    ['a'] * 4,
    [None] * 4,
    2**63,
    '../../x',
    json.loads('[' * 400 + ']' * 400),
]


def mutate(content, rng):
    """Replace, remove, repeat or add something anywhere."""
    for _ in range(rng.randint(1, 6)):
        holder = content
        while True:
            keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            key = rng.choice(keys)
            if (
                not isinstance(holder[key], (dict, list))
                or not holder[key]
                or (holder is not content and rng.random() < 0.3)
            ):
                break
            holder = holder[key]
        what = rng.choice(('replace', 'replace', 'remove', 'repeat'))
        if what == 'remove':
            del holder[key]
        elif what == 'repeat' and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[key]))
        else:
            holder[key] = json.loads(json.dumps(rng.choice(STRANGE)))  # a copy: the next damage may be within it
        if not content:
            return
