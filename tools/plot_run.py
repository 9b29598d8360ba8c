"""Draw loss, learning rate and AP of a run, or of several over one another, from their logs: snv2 plot."""

from _tool import run

SNV2_COMMAND = 'plot'

if __name__ == '__main__':
    run(SNV2_COMMAND)
