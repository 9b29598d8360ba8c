"""Draw sheets of the data before training: images after augmentation with the boxes that the model learns from: snv2 browse."""

from _tool import run

SNV2_COMMAND = 'browse'

if __name__ == '__main__':
    run(SNV2_COMMAND)
