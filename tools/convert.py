"""``snv2 convert``: write a data set as COCO, YOLO or Pascal VOC."""

from _tool import run

SNV2_COMMAND = 'convert'

if __name__ == '__main__':
    run(SNV2_COMMAND)
