"""Installs what scripts/dist/dist.py made into an empty place, and repairs a token there.

    python scripts/dist/check.py DIST

Run from the project's root, in an environment with torch (that of scripts/peer): the wheel is installed beside
it, and nothing is fetched. The archive is tried in an empty environment.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

MODEL = Path(".models/smollm2-135m-instruct").resolve()
PROMPT = "# the largest value of a list\nx = [3, 1, 2]\nprint("


def run(command, place, environment):
    """Runs a command in `place`; what it prints."""
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def use(ment, place, environment):
    """Predicts a token, and repairs one."""
    told = run([*ment, "predict", "--model", MODEL, "--prompt", PROMPT, "--top", "3"], place, environment)
    assert '"max"' in told, told
    repair = ["patch", "--model", MODEL, "--prompt", PROMPT, "--target", "min(x", "--out", "min.safetensors"]
    told = run([*ment, *repair], place, environment)
    assert "the model now predicts the whole target" in told, told
    run([*ment, "init", "example"], place, environment)
    assert (place / "example" / "experiment.toml").is_file()


def main():
    """Both kinds."""
    dist = Path(sys.argv[1]).resolve()
    (wheel,) = dist.glob("*.whl")
    (archive,) = dist.glob("*.tar.xz")
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        with tarfile.open(archive) as tar:
            tar.extractall(scratch, filter="tar")
        (root,) = scratch.iterdir()
        moved = scratch / "elsewhere"
        shutil.move(root, moved)
        place = scratch / "work"
        place.mkdir()
        use([moved / "bin" / "ment"], place, {"HOME": str(place)})
        print(f"{archive.name}: predicts and repairs in an empty environment")
    with tempfile.TemporaryDirectory() as scratch:
        target, place = Path(scratch) / "site", Path(scratch) / "work"
        place.mkdir()
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
        run([*install, "--target", target, wheel], place, dict(os.environ))
        environment = {"HOME": str(place), "PYTHONPATH": str(target), "PATH": os.environ["PATH"]}
        use([sys.executable, target / "bin" / "ment"], place, environment)
        print(f"{wheel.name}: predicts and repairs beside the package torch")


if __name__ == "__main__":
    main()
