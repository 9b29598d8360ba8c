"""What a network costs: multiply-adds, memory access, and the latency of every form of it on this machine.

What the paper says about costs belongs to :mod:`..paper`.
"""
