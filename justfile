# `scripts/just RECIPE` installs `just` by itself; once it is on the PATH, `just RECIPE` is the same.

set positional-arguments

# What there is.
default:
    @just --list --unsorted

# libtorch, tools and the default models, into this folder (once: about 0.75 GB to download).
setup *args:
    @python3 scripts/setup.py "$@"

# RQ1 on the sample data sets: Table III (arguments go to `ment run`).
rq1 *args: build
    cargo run --quiet -- run configs/patching.toml --tables table3 "$@"

# RQ2, from the records of RQ1 and what they lack: Tables IV and V, Figure 6.
rq2 *args: build
    cargo run --quiet -- run configs/patching.toml --tables table4,table5,figure6,beside_table4,beside_table5,phases "$@"

# RQ3 on one sample for each subtype and target: Table VI (`--full`: on all 450).
rq3 *args: build
    cargo run --quiet -- run configs/probing.toml --tables table6,table6_readings "$@"

# A wrong API in a chain of thought, repaired at one token, and the chain again: page, table, pictures.
case-study *args: build
    cargo run --quiet -- study configs/studies/case-study.toml "$@"

# A hundred repairs, one on top of the other: do the first ones still hold?
sequential *args: build
    cargo run --quiet -- study configs/studies/sequential.toml "$@"

# Half of the API habits repaired by every method: `just habits develop|report --out DIR`.
habits half *args: build
    python3 scripts/habits/compare.py "$@"

# A model of your own made to say something: `just patch --prompt … --target … --out FILE`.
patch *args: build
    @cargo run --quiet -- patch "$@"

# A copy of a model with patches in its weights: `just apply --patch FILE … --out DIR`.
apply *args: build
    @cargo run --quiet -- apply "$@"

# What a model writes after a prompt, with patches or without.
generate *args: build
    @cargo run --quiet -- generate "$@"

# That `transformers` reads what `apply` writes, in every form that weights come in.
proof: build
    @python3 scripts/environment.py .peer scripts/peer/requirements.txt
    .peer/bin/python scripts/proof/proof.py "${CARGO_TARGET_DIR:-target}/debug/ment"

# A sweep: `just sweep variants` runs configs/sweeps/variants.toml.
sweep name *args: build
    @shift; cargo run --quiet -- run "configs/sweeps/{{name}}.toml" "$@"

# A run in shards, side by side, by Snakemake: `just cluster configs/patching.toml results/patching 2`.
cluster config out shards="2" *more: build
    @python3 scripts/environment.py .cluster scripts/cluster/requirements.txt
    .cluster/bin/snakemake --snakefile scripts/cluster/Snakefile --directory . --cores {{shards}} \
        --config run={{config}} out={{out}} shards={{shards}} more="{{more}}" \
        ment="${CARGO_TARGET_DIR:-target}/debug/ment"

# A config checked without loading a model, or a benchmark's folder.
check config *args: build
    @cargo run --quiet -- check "$@"

# A run checked: records, tables, model and data; `--again N` runs N of its trials again.
verify *args: build
    @cargo run --quiet -- verify "$@"

# The settings of MENT compared, on data that no table reports.
calibrate *args: build
    cargo run --quiet -- run configs/calibration.toml "$@"

# The same settings on a benchmark that no table reports.
calibrate-probing *args: build
    cargo run --quiet -- run configs/calibration-probing.toml "$@"

# Those of Knowledge Neurons.
calibrate-kn *args: build
    cargo run --quiet -- run configs/calibration-kn.toml "$@"

# The tables, pictures and page of a run again, from its records; or two runs compared.
report *args: build
    @cargo run --quiet -- report "$@"

# The page of a run tried in Chromium; pictures of it go into a folder.
page html out:
    @python3 scripts/environment.py .browser scripts/browser/requirements.txt
    .browser/bin/python scripts/browser/check.py "{{html}}" "{{out}}"

# The engine against Python peers: tables and two plots (long; `--quick` leaves the longest out).
bench *args: build
    @python3 scripts/peer/setup.py
    cargo run --quiet -- bench "$@"

# The hot pieces one by one, in time (criterion).
criterion *args: setup
    cargo bench --profile dev "$@"

# The binary `ment`.
build: setup
    cargo build

# What a person without Rust installs, into dist/: an archive with libtorch, and a Python wheel without it.
dist: build
    @python3 scripts/environment.py .dist scripts/dist/requirements.txt
    .dist/bin/python scripts/dist/dist.py "${CARGO_TARGET_DIR:-target}/debug/ment" dist

# What `just dist` has made, installed into empty places, where it repairs a token.
dist-check: dist
    @python3 scripts/environment.py .peer scripts/peer/requirements.txt
    .peer/bin/python scripts/dist/check.py dist

# All tests, with and without libtorch.
test: setup
    scripts/test

# What CI checks beside the tests.
lint: setup
    cargo fmt --all --check
    cargo clippy --all-targets -- -D warnings
    cargo clippy --all-targets --no-default-features -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --quiet
