"""How fast training is, here and in PyTorch and plain Flax, measured side by side.

contenders.py names who is compared; ours.py, flax_plain.py, pytorch.py and cuda_graphs.py are their
programs. worker.py runs one of them in a process of its own, rounds.py asks them in turn, table.py
reads the record that comes of it. scaling.py measures how our time grows; kernels.py counts what a
GPU is asked to do.
"""
