"""Train a detector, or a classifier to start it from: snv2 train."""

from _tool import run

SNV2_COMMAND = 'train'

if __name__ == '__main__':
    run(SNV2_COMMAND)
