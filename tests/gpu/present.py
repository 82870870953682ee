"""Whether torch can use an NVIDIA GPU here: the first line of `make test-gpu`."""

from __future__ import annotations

import sys

import torch


def main() -> None:
    """Name it; without one, say so and fail, because nothing would be tested."""
    if torch.version.cuda is None:
        sys.exit(
            f"torch {torch.__version__} knows no CUDA: nothing was tested (`make test-gpu` installs one that does)"
        )
    if not torch.cuda.is_available():
        sys.exit(f"no CUDA device here that torch {torch.__version__} can use: nothing was tested")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")


if __name__ == "__main__":
    main()
