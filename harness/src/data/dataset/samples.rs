//! The samples that are part of this project, known by their content: what was measured on them is not headed
//! by the name of the official set.

use super::DatasetName;

/// A sample: the data set whose format it has, its heading, and the SHA-256 of its files.
struct Sample {
    name: DatasetName,
    heading: &'static str,
    files: &'static [&'static str],
}

const SAMPLES: [Sample; 3] = [
    Sample {
        name: DatasetName::FIMAX,
        heading: "FIMAX sample",
        files: &[
            "2323128e68b844e4c26343f1d548e8d626c012415b10c7eb0cd04de8c90c1922",
            "752a5bae299ffbdb56f66a24f5d8f87622de2c84a9ec7b5195348128f99c66fb",
        ],
    },
    Sample {
        name: DatasetName::CONALA,
        heading: "CoNaLa sample",
        files: &[
            "9335922185c620a52189396294f37f60451c4dea10ed1ccddca94d8b033478a3",
            "7672f6748056ee19525c5604591b9a6372cd294718c58762fcb88e1469e3edba",
        ],
    },
    Sample {
        name: DatasetName::SPOC,
        heading: "SPoC sample",
        files: &[
            "8424d9be404bf88b5a9195dfcb94bd84c718fd76fcc57b1e185a416c1bfedd02",
            "67d3d008fed6fc4b77885b27aa6b2a01c8c897abe7d35dd7c35a4112b34c1708",
            "1b3efb5e4191094129d38ae0c3d0f7bcbbf6c7cbbddeeb1c226c29f0d83523c5",
        ],
    },
];

impl DatasetName {
    /// Heading of the data set when it was read from files of these SHA-256: its label, or the name of
    /// the sample if one of them is of a sample.
    pub(crate) fn heading<'h>(self, files: impl IntoIterator<Item = &'h str>) -> &'static str {
        let sample = SAMPLES.iter().find(|sample| sample.name == self);
        let is_of = |sample: &&Sample| files.into_iter().any(|file| sample.files.contains(&file));
        sample.filter(is_of).map_or(self.label(), |sample| sample.heading)
    }
}

#[cfg(test)]
mod tests {
    use super::{DatasetName, SAMPLES};
    use std::path::Path;

    /// Each committed sample is known by every one of its files.
    #[test]
    fn the_samples_are_those_of_the_repository() {
        for sample in SAMPLES {
            let benchmark = Path::new(env!("CARGO_MANIFEST_DIR")).join("../benchmark");
            let folder = benchmark.join(sample.name.as_str()).join("sample");
            let found = sample.name.load(None, &folder).unwrap().files;
            let mut found: Vec<&str> = found.iter().map(|file| file.sha256.as_str()).collect();
            found.sort_unstable();
            let mut known = sample.files.to_vec();
            known.sort_unstable();
            assert_eq!(found, known, "{}", sample.name);
            assert_eq!(sample.name.heading(found), sample.heading);
        }
    }

    #[test]
    fn other_files_have_the_official_heading() {
        let of_fimax = SAMPLES[0].files[0];
        assert_eq!(DatasetName::FIMAX.heading(["0123", of_fimax]), "FIMAX sample");
        assert_eq!(DatasetName::CONALA.heading(["0123", of_fimax]), "CoNaLa");
        assert_eq!(DatasetName::SPOC.heading([]), "SPoC");
        let own: DatasetName = "own".parse().unwrap();
        assert_eq!(own.heading([of_fimax]), "own");
    }
}
