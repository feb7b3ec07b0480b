"""`python -m gpu_infer.backends.gpu.compile.precompile FOLDER 80 90 …`: kernels for an image build, without a GPU.

Set `GPU_INFER_KERNELS` to FOLDER at run time.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    """FOLDER, then architectures without the "sm_"; 2 if the usage is wrong."""
    if len(arguments) < 2 or not all(name.isalnum() for name in arguments[1:]):
        sys.stderr.write(
            "usage: python -m gpu_infer.backends.gpu.compile.precompile FOLDER ARCHITECTURE... (80 for sm_80)\n"
        )
        return 2
    from gpu_infer.backends.gpu.compile.modules import precompile

    paths = precompile(arguments[1:], Path(arguments[0]))
    sys.stderr.write(f"{len(paths)} modules in {arguments[0]}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
