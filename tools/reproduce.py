"""Reproduce a row of the paper's tables: train, evaluate, and print it beside what was published: snv2 reproduce."""

from _tool import run

SNV2_COMMAND = 'reproduce'

if __name__ == '__main__':
    run(SNV2_COMMAND)
