"""``snv2 browse``: draw the data as the model sees it."""

from _tool import run

SNV2_COMMAND = 'browse'

if __name__ == '__main__':
    run(SNV2_COMMAND)
