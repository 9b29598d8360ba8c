"""Parameters and multiply-adds of detectors, as a Markdown table: snv2 complexity."""

from _tool import run

SNV2_COMMAND = 'complexity'

if __name__ == '__main__':
    run(SNV2_COMMAND)
