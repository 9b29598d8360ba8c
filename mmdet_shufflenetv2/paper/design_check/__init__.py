"""Where a backbone violates the four guidelines, and what that costs on the machine at hand.

:mod:`.violations` finds all four kinds of violation, :mod:`.latency` turns counts into seconds, :mod:`.check` does it
for the backbone of a config, :mod:`.report` and :mod:`.figure` show it.
"""
