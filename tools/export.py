"""Export a trained detector as one ONNX graph from image to boxes, and check the file against the detector: snv2 export."""

from _tool import run

SNV2_COMMAND = 'export'

if __name__ == '__main__':
    run(SNV2_COMMAND)
