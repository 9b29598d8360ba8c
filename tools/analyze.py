"""``snv2 analyze``: report a detector's errors by kind."""

from _tool import run

SNV2_COMMAND = 'analyze'

if __name__ == '__main__':
    run(SNV2_COMMAND)
