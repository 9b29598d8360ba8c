"""Say where backbones violate the four guidelines of the ShuffleNet V2 paper, and what that costs on this machine: snv2 design-check."""

from _tool import run

SNV2_COMMAND = 'design-check'

if __name__ == '__main__':
    run(SNV2_COMMAND)
