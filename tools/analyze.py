"""``snv2 analyze``: report what a detector gets wrong."""

from _tool import run

SNV2_COMMAND = 'analyze'

if __name__ == '__main__':
    run(SNV2_COMMAND)
