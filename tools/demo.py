"""``snv2 demo``: train, evaluate and draw on built-in data."""

from _tool import run

SNV2_COMMAND = 'demo'

if __name__ == '__main__':
    run(SNV2_COMMAND)
