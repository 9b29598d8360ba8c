"""``python -m mmdet_shufflenetv2.compat`` prints what a bug report needs."""

from .report import report

print(report())
