"""Try detectors in a browser: drop an image, choose a checkpoint, move the threshold: snv2 app."""

from _tool import run

SNV2_COMMAND = 'app'

if __name__ == '__main__':
    run(SNV2_COMMAND)
