"""Latency, memory and cost of a backbone, or of whole detectors, in every form that can be run here: snv2 benchmark."""

from _tool import run

SNV2_COMMAND = 'benchmark'

if __name__ == '__main__':
    run(SNV2_COMMAND)
