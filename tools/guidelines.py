"""Measure the four guidelines of the ShuffleNet V2 paper on this machine: snv2 guidelines."""

from _tool import run

SNV2_COMMAND = 'guidelines'

if __name__ == '__main__':
    run(SNV2_COMMAND)
