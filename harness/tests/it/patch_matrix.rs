//! Patches of whole matrices: applied, and taken back.

use crate::patch::{OTHER, PROMPT, Workplace};
use std::fs;

/// The edit of a method that changes whole matrices is a patch like any other, and taken out to the last bit; a
/// patch of columns on top of it too.
#[test]
fn a_matrix_is_applied_and_taken_out() {
    let place = Workplace::new();
    for (method, set) in [
        ("rome", "rome.keys={tokens = 512}"),
        ("lora", "lora.rate=0.01"),
        ("ft", "fine_tuning={rate = 0.01, bound = 0}"),
        ("star", "star.quota=6"),
        ("mint", "ment.quota=10"),
        ("joint", "joint.keys.tokens=512"),
    ] {
        let patch = format!("{method}.safetensors");
        let said =
            place.patch("base", PROMPT, " best", &patch, &["--method", method, "--set", set]);
        let is_matrix = !matches!(method, "star" | "mint" | "joint");
        assert_eq!(said.contains("an update of"), is_matrix, "{said}");
        let [new, more, back] = ["new", "more", "back"].map(|name| format!("{name}-{method}"));
        place.says(&["apply", "--model", "base", "--patch", &patch, "--out", &new]);
        assert_eq!(place.next(&new, PROMPT), " best", "{method}");
        // A patch of columns on top, in the same folder.
        let second = format!("second-{method}.safetensors");
        place.patch(&new, OTHER, " best", &second, &[]);
        place.says(&["apply", "--model", &new, "--patch", &second, "--out", &more]);
        assert_eq!(place.next(&more, OTHER), " best", "{method}");
        let revert = ["patch", "--model", &more, "--revert", &second, "--out", &back];
        place.says(&revert);
        let weights = |name: &str| fs::read(place.path(name).join("model.safetensors")).unwrap();
        assert!(weights(&back) == weights(&new), "{method}: the second is taken out");
        let base = format!("base-{method}");
        place.says(&["patch", "--model", &back, "--revert", &patch, "--out", &base]);
        assert!(weights(&base) == weights("base"), "{method}: to the last bit");
    }
}
