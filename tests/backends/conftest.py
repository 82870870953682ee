"""Torch on one thread: the machines that test are shared, and sums in one order are the same in every run."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
