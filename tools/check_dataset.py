"""``snv2 check-data``: find every problem of a data set."""

from _tool import run

SNV2_COMMAND = 'check-data'

if __name__ == '__main__':
    run(SNV2_COMMAND)
