"""``snv2 download``: download COCO 2017 to the folder that the configs expect."""

from _tool import run

SNV2_COMMAND = 'download'

if __name__ == '__main__':
    run(SNV2_COMMAND)
