"""``snv2 predict``: detect objects in images, videos and cameras."""

from _tool import run

SNV2_COMMAND = 'predict'

if __name__ == '__main__':
    run(SNV2_COMMAND)
