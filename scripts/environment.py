"""Makes a Python environment: python3 scripts/environment.py FOLDER REQUIREMENTS

Leaves it alone where it holds what the requirements say, which pin every package by its hash. Works from
the project's root. MENT_CACHE may name a folder outside the clone: the environment is then made there, and
FOLDER is a link to it.
"""

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path


def make(folder: Path, requirements: Path) -> Path:
    """The environment's Python."""
    wanted = requirements.read_text()
    cache = os.environ.get("MENT_CACHE")
    if cache and (folder.is_symlink() or not folder.exists()):
        home = Path(cache).resolve() / f"{folder.name.lstrip('.')}-{hashlib.sha256(wanted.encode()).hexdigest()[:16]}"
        home.mkdir(parents=True, exist_ok=True)
        folder.unlink(missing_ok=True)
        folder.symlink_to(home, target_is_directory=True)
    stamp = folder / ".requirements"
    python = folder / "bin" / "python"
    if not stamp.is_file() or stamp.read_text() != wanted:
        print(f"installing {requirements} into {folder}", file=sys.stderr)
        venv.create(folder.resolve(), with_pip=True)  # it takes no link
        install = [python, "-m", "pip", "install", "--quiet", "--require-hashes"]
        install += ["-r", requirements]
        subprocess.run(install, check=True)
        stamp.write_text(wanted)
    return python


if __name__ == "__main__":
    make(Path(sys.argv[1]), Path(sys.argv[2]))
