"""``snv2 complexity``: count parameters and multiply-adds."""

from _tool import run

SNV2_COMMAND = 'complexity'

if __name__ == '__main__':
    run(SNV2_COMMAND)
