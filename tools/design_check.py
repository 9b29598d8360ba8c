"""``snv2 design-check``: check backbones against the guidelines."""

from _tool import run

SNV2_COMMAND = 'design-check'

if __name__ == '__main__':
    run(SNV2_COMMAND)
