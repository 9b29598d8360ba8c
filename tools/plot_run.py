"""``snv2 plot``: draw loss, learning rate and AP of runs."""

from _tool import run

SNV2_COMMAND = 'plot'

if __name__ == '__main__':
    run(SNV2_COMMAND)
