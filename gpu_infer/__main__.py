"""`python -m gpu_infer`: without arguments the container's main, with arguments the command line."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    from gpu_infer.cli.entry import container, script

    sys.exit(script() if len(sys.argv) > 1 else container())
