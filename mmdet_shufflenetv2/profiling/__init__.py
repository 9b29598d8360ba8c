"""Cost of a network: multiply-adds, memory access, and latency in every form and runtime on this machine.

The paper's guidelines on cost belong to :mod:`..paper`.
"""
