"""Put COCO 2017 where the configs expect it: downloaded with resume, checked, unpacked, counted: snv2 download."""

from _tool import run

SNV2_COMMAND = 'download'

if __name__ == '__main__':
    run(SNV2_COMMAND)
