"""The command `ment`: the binary in this package, with the libtorch of the installed package `torch`."""

import os
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

NEEDED = "2.11."


def main():
    """Replace this process by the binary."""
    try:
        found = version("torch")
    except PackageNotFoundError:
        sys.exit(f"ment: the package torch is missing; pip install 'torch=={NEEDED}*'")
    if not found.startswith(NEEDED):
        sys.exit(f"ment: torch {found} is installed, and torch {NEEDED}* is needed")
    site = Path(find_spec("torch").origin).parent.parent
    libraries = [site / "torch" / "lib", *sorted(site.glob("nvidia/*/lib"))]
    environment = dict(os.environ)
    earlier = environment.get("LD_LIBRARY_PATH")
    paths = [str(path) for path in libraries] + ([earlier] if earlier else [])
    environment["LD_LIBRARY_PATH"] = os.pathsep.join(paths)
    cuda = libraries[0] / "libtorch_cuda.so"
    if cuda.exists():
        environment.setdefault("MENT_TORCH_CUDA", str(cuda))
    binary = Path(__file__).parent / "bin" / "ment"
    os.execve(binary, ["ment", *sys.argv[1:]], environment)
