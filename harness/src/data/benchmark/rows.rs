//! A benchmark made of rows: the pairs of an inference division that name prompts beside them.

use super::{Benchmark, Rows, Sample, Subtype};
use crate::data::dataset::{Beside, Dataset, Pair, SidePrompt};
use crate::error::InputError;
use anyhow::Result;
use std::collections::HashSet;
use std::path::Path;

/// Type of all rows. A constant, so that the names of cases do not change with the place of the data.
const TYPE: &str = "rows";

impl Benchmark {
    /// The first `limit` rows of `dataset`, which was read from `from`, behind its first `demonstrations`
    /// pairs of the retrieval division.
    ///
    /// # Errors
    /// If there is no row, none of them names a prompt beside it, or two have one name.
    pub fn of_rows(
        dataset: Dataset,
        from: &Path,
        demonstrations: usize,
        limit: usize,
    ) -> Result<Self> {
        let wrong = |what: String| InputError::new(format!("{}: {what}", from.display()));
        let Dataset { retrieval, inference, mut beside, files, .. } = dataset;
        if inference.is_empty() {
            return Err(wrong("no line of the inference division, which is patched".into()));
        }
        beside.resize(inference.len(), Beside::default());
        let demonstrations: Vec<Pair> = retrieval.into_iter().take(demonstrations).collect();
        let (mut types, mut subtypes) = (Vec::new(), Vec::new());
        let (mut related, mut unrelated) = (0, 0);
        let mut names = HashSet::new();
        for ((pair, beside), number) in inference.into_iter().zip(beside).zip(1..).take(limit) {
            let name = beside.id.unwrap_or_else(|| format!("row {number}"));
            if !names.insert(name.clone()) {
                return Err(wrong(format!("two rows are called {name:?}; change one `id`")));
            }
            related += beside.related.len();
            unrelated += beside.unrelated.len();
            let own = SidePrompt { input: pair.input, output: Some(pair.output.clone()) };
            let samples: Vec<Sample> =
                std::iter::once(own).chain(beside.related).map(sample).collect();
            let subtype = |name: String, targets: Vec<String>, samples: Vec<Sample>| Subtype {
                of: types.len(),
                name,
                argmax: String::new(),
                patched: usize::from(!targets.is_empty()),
                targets,
                demonstrations: demonstrations.clone(),
                samples,
            };
            let others = beside.unrelated.into_iter().map(sample).collect();
            subtypes.push(subtype(name.clone(), vec![pair.output], samples));
            subtypes.push(subtype(format!("{name}, unrelated"), Vec::new(), others));
            types.push(TYPE.to_string());
        }
        if related + unrelated == 0 {
            return Err(wrong(
                "no row names prompts to probe its edit on; add `related` and `unrelated` to rows of \
                 the inference division"
                    .into(),
            ));
        }
        let rows = Rows { rows: types.len(), related, unrelated };
        let name = from.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, version: String::new(), types, subtypes, files, rows: Some(rows) })
    }
}

fn sample(prompt: SidePrompt) -> Sample {
    let SidePrompt { input, output } = prompt;
    Sample { intent: input, before: String::new(), after: String::new(), output }
}

impl std::fmt::Display for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { rows, related, unrelated } = self;
        write!(f, "{rows} rows with {related} related and {unrelated} unrelated prompts")
    }
}

#[cfg(test)]
mod tests {
    use super::{Benchmark, Rows};
    use crate::data::benchmark::Place;
    use crate::data::dataset::{Beside, Dataset, Pair, SidePrompt};
    use std::path::Path;

    fn dataset(beside: Vec<Beside>) -> Dataset {
        let pair = |name: &str| Pair { input: name.into(), output: format!("{name}()") };
        Dataset {
            name: "own".parse().unwrap(),
            retrieval: ["d", "e", "f"].map(pair).to_vec(),
            inference: ["a", "b", "c"].map(pair).to_vec(),
            beside,
            files: Vec::new(),
            deviations: Vec::new(),
        }
    }

    fn beside(id: Option<&str>) -> Beside {
        let prompt = |input: &str| SidePrompt { input: input.into(), output: None };
        Beside {
            id: id.map(String::from),
            related: vec![prompt("r"), prompt("s")],
            unrelated: vec![prompt("u")],
        }
    }

    fn error(beside: Vec<Beside>) -> String {
        Benchmark::of_rows(dataset(beside), Path::new("data/own"), 3, 9).unwrap_err().to_string()
    }

    #[test]
    fn a_row_is_probed_on_its_own_prompts_only() {
        let dataset = dataset(vec![beside(None), Beside::default(), beside(Some("x"))]);
        let found = Benchmark::of_rows(dataset, Path::new("data/own"), 2, 9).unwrap();
        assert_eq!(found.rows, Some(Rows { rows: 3, related: 4, unrelated: 2 }));
        assert_eq!((found.name.as_str(), found.cases()), ("own", 3));
        let of_row = |row: usize| {
            let place = Place { subtype: 2 * row, sample: 0 };
            let intents = |places: Vec<Place>| {
                let intent = |place: Place| found.sample(place).intent.clone();
                places.into_iter().map(intent).collect::<Vec<_>>().join("")
            };
            let unrelated = intents(found.unrelated(place).collect());
            (
                found.subtypes[2 * row].name.as_str(),
                intents(found.related(place).collect()),
                unrelated,
            )
        };
        assert_eq!(of_row(0), ("row 1", "rs".into(), "u".into()));
        assert_eq!(of_row(1), ("row 2", String::new(), String::new()));
        assert_eq!(of_row(2), ("x", "rs".into(), "u".into()));
        assert_eq!(found.subtypes[0].demonstrations.len(), 2);
    }

    #[test]
    fn a_limit_counts_rows() {
        let dataset = dataset(vec![beside(None), beside(None), beside(None)]);
        let found = Benchmark::of_rows(dataset, Path::new("own"), 0, 2).unwrap();
        assert_eq!((found.types.len(), found.cases()), (2, 2));
    }

    #[test]
    fn what_cannot_be_probed_is_refused() {
        insta::assert_snapshot!(error(Vec::new()), @"data/own: no row names prompts to probe its edit on; add `related` and `unrelated` to rows of the inference division");
        insta::assert_snapshot!(error(vec![beside(Some("row 2")), beside(None)]), @r#"data/own: two rows are called "row 2"; change one `id`"#);
        let none = Dataset { inference: Vec::new(), ..dataset(Vec::new()) };
        let error = Benchmark::of_rows(none, Path::new("own"), 3, 9).unwrap_err().to_string();
        insta::assert_snapshot!(error, @"own: no line of the inference division, which is patched");
    }
}
