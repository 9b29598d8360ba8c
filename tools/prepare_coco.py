"""``snv2 download``: put COCO 2017 where the configs expect it."""

from _tool import run

SNV2_COMMAND = 'download'

if __name__ == '__main__':
    run(SNV2_COMMAND)
