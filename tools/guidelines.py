"""``snv2 guidelines``: measure the four guidelines on this machine."""

from _tool import run

SNV2_COMMAND = 'guidelines'

if __name__ == '__main__':
    run(SNV2_COMMAND)
