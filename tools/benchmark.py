"""``snv2 benchmark``: measure the latency of every form of a backbone or detector."""

from _tool import run

SNV2_COMMAND = 'benchmark'

if __name__ == '__main__':
    run(SNV2_COMMAND)
