"""Sets up what `just bench` measures against: the peer's Python environment and the random models.

Run from the project's root: python3 scripts/peer/setup.py
Makes .peer/ (about 5 GB: torch comes with its CUDA packages) unless it is there and up to date:
a virtual environment with requirements.txt, and shapes/codegen-350m-N, random weights in the shape
of CodeGen-350M with N layers, half precision.
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))

from environment import make  # noqa: E402, it lies beside this folder
PEER = Path(".peer")
LAYERS = (5, 10, 20)


def main() -> None:
    """Environment, then models; each is left alone where it is complete."""
    python = make(PEER, HERE / "requirements.txt")
    for layers in LAYERS:
        folder = PEER / "shapes" / f"codegen-350m-{layers}"
        if not (folder / ".complete").is_file():
            print(f"peer: making {folder}", file=sys.stderr)
            subprocess.run([python, HERE / "shape.py", folder, str(layers)], check=True)
            (folder / ".complete").touch()


if __name__ == "__main__":
    main()
