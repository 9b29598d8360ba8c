"""``python -m mmdet_shufflenetv2.compat`` prints what a bug report needs."""

from .bug_report import report

print(report())
