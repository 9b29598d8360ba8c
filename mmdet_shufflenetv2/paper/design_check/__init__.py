"""Check of a backbone against the four guidelines, with the cost of each violation on this machine.

:mod:`.violations` finds the violations, :mod:`.latency` converts counts to seconds, :mod:`.check` checks the backbones
of configs, and :mod:`.report` and :mod:`.figure` show the result.
"""
