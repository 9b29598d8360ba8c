"""Phrases that slow a reader down, and what to write instead: ``make lint`` lists where they are."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
INSTEAD = {
    r'(?<!there )(?<!There )\bis no (?!longer\b|more\b|other\b|need\b|reason\b|network\b|value\b|'
    r'\w+ (?:for|to|in|of|there)\b)': 'is not a',
    r'\banew\b': 'again, from scratch',
    r'\bnewest\b': 'latest',
    r'\btorn\b': 'corrupt, truncated',
    r'\bmend(?:s|ed|ing)?\b': 'fix',
    r'\bis from before\b': 'name the checkpoint',
    r'\bstands (?:twice|where|in front|beside|behind)\b': 'is duplicate, is at, precedes',
    r'\blies (?:beside|in|at|where|below|there)\b': 'is',
    r'\b(?:look(?:s|ed|ing)? at|told right|parted|worked on)\b': 'check, correct, split, processed',
    r'\bpictures?\b': 'image (input), figure or visualization (output)',
    r'\btaken for\b': 'treated as',
    r'\b(?:a class an|an epoch anew|a class a|an image a)\b': 'each, per',
    r'\bthat of which\b|\bthat which\b|\bof which there\b': 'rewrite the sentence',
    r'\bfinds other things\b': 'its detections do not match',
    r'\bfit for training\b': 'OK to train',
    r'\bThere is no \w+ (?:file )?\{': 'X not found: {...}',
    r'\bpassed over\b': 'skipped',
    r'\bgo(?:es|ing)? on with\b': 'continue with',
    r'\b(?:is|are) there already\b': 'exists already',
    r'\b(?:colour|centre|neighbour|grey\b|recognis|normalis|synchronis)': 'American spelling',
    r'\bleave (?:it|them|one of them) out\b': 'remove',
    r'\bNear it: ': 'Did you mean ...?',
    r'def test_\w*(?:_(?:is|are)_(?:said|told)|_whatever_|_wherever_it|_taken_for|that_which)': 'test_rejects_X, ...',
    r'\b(?:toss-up|misbehaves?|gave way|half-way|nobody knows)\b': 'the usual term',
    r'\b(?:puts? out|hands? (?:in|on|out)|gives? way)\b': 'return, pass, is replaced',
    r'\b(?:in turns|takes? turns)\b': 'alternately',
    r'\bfill(?:s|ed|ing)? up\b': 'pad',
    r'\b(?:cannot|does not) do\b': 'is not supported, cannot be exported',
    r'\bcomput(?:es?|ing) something else\b': 'its outputs do not match',
    r'\bin place of\b': 'instead of',
    r'\bwhat surrounds\b': 'pre- and post-processing',
    r'\bdoors? to\b': 'calls',
    r'\bdoes not fit: expected': 'is invalid: expected',
    r'\bso (?:many|few) (?:images|steps|epochs|boxes|threads)\b': 'a number of, about, up to',
    r'\b(?:images|steps|boxes|inputs|operations|milliseconds|faults|regions|detections|samples) an? '
    r'(?:second|image|step|channel|class|GPU|side|run|tower)\b': 'per',
}
#: A license, this list, and old names of modules.
SKIPPED = ('LICENSE', 'tests/vocabulary.py', 'CHANGELOG.md')


def findings(root: Path = ROOT) -> list[str]:
    """``path:line: phrase (instead)`` for each phrase in the text files that git knows."""
    known = subprocess.run(
        ['git', 'ls-files', '*.py', '*.md', '*.yml', '*.toml', '*.sh', 'Makefile'],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    found = []
    for name in sorted(set(known) - set(SKIPPED)):
        for number, line in enumerate((root / name).read_text(encoding='utf-8').splitlines(), 1):
            for phrase, instead in INSTEAD.items():
                if match := re.search(phrase, line):
                    found.append(f'{name}:{number}: "{match[0].strip()}" (better: {instead})')
    return found


if __name__ == '__main__':
    lines = findings()
    print('\n'.join(lines))
    sys.exit(bool(lines))
