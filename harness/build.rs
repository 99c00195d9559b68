//! Hands the build what the binary must know of it: where libtorch lies and which commit this is.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn main() {
    if env::var_os("CARGO_FEATURE_TORCH").is_some() {
        libtorch();
    }
    println!("cargo:rustc-env=MENT_COMMIT={}", commit().unwrap_or_default());
    // A commit, or a change of anything the binary is made of, may change what this says.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for part in [".git/logs/HEAD", "Cargo.toml", "Cargo.lock", "harness/Cargo.toml", "harness/src"]
    {
        println!("cargo:rerun-if-changed={}", root.join(part).display());
    }
}

/// An rpath into libtorch, so that nobody exports LD_LIBRARY_PATH.
fn libtorch() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let libtorch = env::var_os("LIBTORCH").map(PathBuf::from).unwrap_or_default();
    // Links are followed: where .libtorch is a link, the binary outlives it.
    let libtorch = libtorch.canonicalize().unwrap_or(libtorch);
    assert!(
        libtorch.join("lib").is_dir(),
        "\n\nlibtorch is not at {}; run `python3 scripts/setup.py` first\n",
        libtorch.display()
    );
    println!("cargo:rustc-env=MENT_LIBTORCH={}", libtorch.display());
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", libtorch.join("lib").display());
    println!("cargo:rerun-if-changed=src/engine/device.cpp");
    cc::Build::new()
        .cpp(true)
        .std("c++20")
        .include(libtorch.join("include"))
        .warnings(false) // those of libtorch's headers
        .file("src/engine/device.cpp")
        .compile("ment_device");
}

/// The commit built from; where files differ from it, `-dirty` and a hash of the difference.
fn commit() -> Option<String> {
    let output = Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"])
        .output()
        .ok()?;
    let name = String::from_utf8_lossy(&output.stdout).trim().to_string();
    output.status.success().then(|| format!("{name}{}", difference(&name).unwrap_or_default()))
}

/// What tells one dirty build from another: a hash of how it differs from its commit.
fn difference(name: &str) -> Option<String> {
    if !name.ends_with("-dirty") {
        return None;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut diff = Command::new("git")
        .args(["diff", "--no-ext-diff", "HEAD"])
        .current_dir(&root)
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let hash = Command::new("git")
        .args(["hash-object", "--stdin"])
        .stdin(diff.stdout.take()?)
        .output()
        .ok()?;
    diff.wait().ok()?;
    let hash = String::from_utf8_lossy(&hash.stdout);
    Some(format!("-{}", hash.trim().get(..12)?))
}
