"""Evaluate a checkpoint: prints COCO's table and the AP of each class, or top-1 and top-5; writes metrics.json: snv2 eval."""

from _tool import run

SNV2_COMMAND = 'eval'

if __name__ == '__main__':
    run(SNV2_COMMAND)
