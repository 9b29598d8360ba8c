"""``snv2 eval``: evaluate a checkpoint."""

from _tool import run

SNV2_COMMAND = 'eval'

if __name__ == '__main__':
    run(SNV2_COMMAND)
