"""Every problem of a data set in one pass: what is wrong, how often, and examples: snv2 check-data."""

from _tool import run

SNV2_COMMAND = 'check-data'

if __name__ == '__main__':
    run(SNV2_COMMAND)
