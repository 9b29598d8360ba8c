"""``snv2 export``: write one ONNX graph from image to boxes."""

from _tool import run

SNV2_COMMAND = 'export'

if __name__ == '__main__':
    run(SNV2_COMMAND)
