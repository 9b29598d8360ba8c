"""``snv2 reproduce``: run a row of the paper's tables."""

from _tool import run

SNV2_COMMAND = 'reproduce'

if __name__ == '__main__':
    run(SNV2_COMMAND)
