"""Detect objects in images, videos and cameras: draws them, and writes them as COCO JSON, YOLO txt or CSV: snv2 predict."""

from _tool import run

SNV2_COMMAND = 'predict'

if __name__ == '__main__':
    run(SNV2_COMMAND)
