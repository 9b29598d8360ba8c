"""``snv2 export``: export a detector for another runtime."""

from _tool import run

SNV2_COMMAND = 'export'

if __name__ == '__main__':
    run(SNV2_COMMAND)
