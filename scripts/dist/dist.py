"""What a person without Rust installs: an archive with libtorch for CPU, and a Python wheel without it.

    python scripts/dist/dist.py BINARY OUT

Run from the project's root, in the environment of scripts/dist/requirements.txt. BINARY is `ment` as built;
a stripped copy, which finds libtorch beside itself, goes into both files.
"""

import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(sysconfig.get_path("scripts"))
# What a CPU build needs beside libc, libstdc++ and libgcc_s, which every Linux for people has.
LIBTORCH = ROOT / ".libtorch"

README = """\
ment {version}: neuron-level patching of language models.

    bin/ment --help
    bin/ment models get smollm2-135m    needs Python 3.9 or newer with pip
    bin/ment init example

Needs Linux on x86_64 with glibc 2.{glibc} or newer. lib/ is libtorch {torch} for CPU; its licences and those of
NVIDIA's two small libraries are in licenses/.
"""

METADATA = """\
Metadata-Version: 2.1
Name: ment
Version: {version}
Summary: Neuron-level patching of language models
License: MIT
Requires-Python: >=3.9
Requires-Dist: torch==2.11.*
Description-Content-Type: text/markdown

"""

WHEEL = """\
Wheel-Version: 1.0
Generator: scripts/dist/dist.py
Root-Is-Purelib: false
Tag: {tag}
"""


def version():
    """The version of the workspace."""
    return re.search(r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]


def glibc(binary):
    """The minor version of the newest glibc that the binary asks for."""
    return max(int(minor) for minor in re.findall(rb"GLIBC_2\.(\d+)", binary.read_bytes()))


def copy(binary, target, search):
    """A copy without debug information that looks for libraries in `search`, relative to itself."""
    target.parent.mkdir(parents=True)
    subprocess.run(["strip", "-o", target, binary], check=True)
    subprocess.run([TOOLS / "patchelf", "--set-rpath", search, target], check=True)


def archive(binary, out):
    """The relocatable archive; its path."""
    name = f"ment-{version()}-linux-x86_64"
    path = out / f"{name}.tar.xz"
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / name
        copy(binary, root / "bin" / "ment", "$ORIGIN/../lib")
        (root / "lib").mkdir()
        for library in (LIBTORCH / "lib").glob("*.so*"):
            if library.name != "libtorch.so":  # a line for the linker
                shutil.copy2(library, root / "lib")
        shutil.copytree(LIBTORCH / "licenses", root / "licenses")
        shutil.copy2(ROOT / "LICENSE", root)
        torch = (LIBTORCH / "build-version").read_text().strip()
        facts = {"version": version(), "torch": torch, "glibc": glibc(root / "bin" / "ment")}
        (root / "README.txt").write_text(README.format(**facts))
        with tarfile.open(path, "w:xz", preset=1) as tar:
            tar.add(root, name)
    return path


def wheel(binary, out):
    """The wheel; its path."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        copy(binary, root / "ment" / "bin" / "ment", "$ORIGIN/../../torch/lib")
        shutil.copy2(ROOT / "scripts" / "dist" / "launcher.py", root / "ment" / "__init__.py")
        (root / "ment" / "__main__.py").write_text("from ment import main\n\nmain()\n")
        info = root / f"ment-{version()}.dist-info"
        (info / "licenses").mkdir(parents=True)
        shutil.copy2(ROOT / "LICENSE", info / "licenses")
        tag = f"py3-none-manylinux_2_{glibc(root / 'ment' / 'bin' / 'ment')}_x86_64"
        readme = (ROOT / "README.md").read_text()
        (info / "METADATA").write_text(METADATA.format(version=version()) + readme)
        (info / "WHEEL").write_text(WHEEL.format(tag=tag))
        (info / "entry_points.txt").write_text("[console_scripts]\nment = ment:main\n")
        command = [sys.executable, "-m", "wheel", "pack", root, "--dest-dir", out]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return out / f"ment-{version()}-{tag}.whl"


def main():
    """Make both, and say how large they are."""
    binary, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    for path in (wheel(binary, out), archive(binary, out)):
        print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
