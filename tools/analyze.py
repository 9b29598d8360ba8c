"""Where a detector goes wrong: AP by class and size, confusions, the worst mistakes as pictures, in one report.html: snv2 analyze."""

from _tool import run

SNV2_COMMAND = 'analyze'

if __name__ == '__main__':
    run(SNV2_COMMAND)
