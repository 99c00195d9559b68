"""The libraries that the data set is made of, and the Python sources inside their pinned wheels."""

import ast
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path

from wheels import Trouble, download, pins

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements.txt"
# Sources are read and never run, so one platform serves all; the wheels for this one are the smallest.
PLATFORMS = ["14_0_arm64", "12_0_arm64", "11_0_arm64", "10_13_universal2", "10_12_universal2"]
WHEELS = ["--python-version=3.11", "--implementation=cp", "--abi=cp311", "--abi=abi3", "--abi=none"]
WHEELS += [f"--platform=macosx_{version}" for version in PLATFORMS]
DOWNLOAD_MB = 213
DISK_MB = 500  # pip keeps a second copy of what it is fetching

# Folders of tests, of build tools and of other projects' code.
SKIPPED = {"tests", "test", "conftest", "benchmarks", "_vendor", "vendor", "vendored", "externals", "extern"}
SKIPPED |= {"include", "_dynamo", "_inductor"}
# Parts of a module's path that users do not write, besides those that begin with an underscore.
INTERNAL = {"src", "core", "impl", "legacy", "compat", "internal"}


@dataclass(frozen=True)
class Library:
    """A library: the package that is imported, the distribution it comes in, and the licence of its text."""

    name: str
    distribution: str
    licence: str


LIBRARIES = [
    Library("numpy", "numpy", "BSD-3-Clause"),
    Library("scipy", "scipy", "BSD-3-Clause"),
    Library("pandas", "pandas", "BSD-3-Clause"),
    Library("sklearn", "scikit-learn", "BSD-3-Clause"),
    Library("keras", "keras", "Apache-2.0"),
    Library("torch", "torch", "BSD-3-Clause"),
    Library("torchmetrics", "torchmetrics", "Apache-2.0"),
    Library("kornia", "kornia", "Apache-2.0"),
    Library("jax", "jax", "Apache-2.0"),
    Library("flax", "flax", "Apache-2.0"),
    Library("datasets", "datasets", "Apache-2.0"),
    Library("statsmodels", "statsmodels", "BSD-3-Clause"),
    Library("networkx", "networkx", "BSD-3-Clause"),
    Library("skimage", "scikit-image", "BSD-3-Clause"),
    Library("xarray", "xarray", "Apache-2.0"),
    Library("dask", "dask", "BSD-3-Clause"),
    Library("polars", "polars", "MIT"),
    Library("ibis", "ibis-framework", "Apache-2.0"),
    Library("janitor", "pyjanitor", "MIT"),
    Library("geopandas", "geopandas", "BSD-3-Clause"),
    Library("shapely", "shapely", "BSD-3-Clause"),
    Library("pyvista", "pyvista", "MIT"),
    Library("sympy", "sympy", "BSD-3-Clause"),
    Library("mpmath", "mpmath", "BSD-3-Clause"),
    Library("astropy", "astropy", "BSD-3-Clause"),
    Library("librosa", "librosa", "ISC"),
    Library("river", "river", "BSD-3-Clause"),
    Library("sktime", "sktime", "BSD-3-Clause"),
    Library("aeon", "aeon", "BSD-3-Clause"),
    Library("tslearn", "tslearn", "BSD-2-Clause"),
    Library("imblearn", "imbalanced-learn", "MIT"),
    Library("nltk", "nltk", "Apache-2.0"),
    Library("skbio", "scikit-bio", "BSD-3-Clause"),
    Library("more_itertools", "more-itertools", "MIT"),
    Library("toolz", "toolz", "BSD-3-Clause"),
    Library("sortedcontainers", "sortedcontainers", "Apache-2.0"),
    Library("boltons", "boltons", "BSD-3-Clause"),
    Library("arrow", "arrow", "Apache-2.0"),
]


@dataclass(frozen=True)
class Source:
    """One file of Python source, parsed."""

    module: str
    is_package: bool
    is_stub: bool
    tree: ast.Module


def fetch(folder):
    """Bring the pinned wheels into a folder."""
    download(REQUIREMENTS, folder, WHEELS)


def sources(library, folder):
    """The parsed sources of a library, in the order of their names, stubs after all others."""
    version = pins(REQUIREMENTS)[library.distribution]
    stem = f"{library.distribution.replace('-', '_')}-{version}-"
    wheel = [path for path in sorted(folder.glob("*.whl")) if path.name.lower().startswith(stem)]
    if len(wheel) != 1:
        raise Trouble(f"{folder} has {len(wheel)} wheels {stem}*; remove the folder, then run this again.")
    with zipfile.ZipFile(wheel[0]) as archive:
        names = [name for name in archive.namelist() if name.split("/")[0] == library.name]
        for suffix in (".py", ".pyi"):
            for name in sorted(name for name in names if name.endswith(suffix)):
                source = read(archive, name, suffix)
                if source is not None:
                    yield source


def read(archive, name, suffix):
    """One file, or None where it belongs to tests or is a template that is not Python."""
    parts = name[: -len(suffix)].split("/")
    if SKIPPED & set(parts) or any(part.startswith("test_") or not part.isidentifier() for part in parts):
        return None
    is_package = parts[-1] == "__init__"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(archive.read(name).decode("utf-8"))
    except (SyntaxError, ValueError):
        return None
    return Source(".".join(parts[:-1] if is_package else parts), is_package, suffix == ".pyi", tree)


def private(path):
    """Whether users do not write this module's path."""
    parts = path.split(".")
    return any(part.startswith("_") or part in INTERNAL for part in parts[1:])
