"""``snv2 train``: train a detector, or a classifier for pre-training."""

from _tool import run

SNV2_COMMAND = 'train'

if __name__ == '__main__':
    run(SNV2_COMMAND)
