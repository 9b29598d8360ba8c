"""``python -m mmdet_shufflenetv2.compat`` prints the information for a bug report."""

from .bug_report import report

print(report())
