"""``snv2 app``: try detectors in a browser."""

from _tool import run

SNV2_COMMAND = 'app'

if __name__ == '__main__':
    run(SNV2_COMMAND)
