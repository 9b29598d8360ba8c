"""The whole way on built-in data: train a small Faster R-CNN, evaluate it, draw its detections. What `make demo` runs: snv2 demo."""

from _tool import run

SNV2_COMMAND = 'demo'

if __name__ == '__main__':
    run(SNV2_COMMAND)
