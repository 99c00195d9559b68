//! Headings of the data sets of a run, by the files that it read.

use super::Identity;
use crate::data::dataset::DatasetName;

/// The data sets whose heading is not their label.
pub struct Headings(Vec<(DatasetName, &'static str)>);

impl Identity {
    /// Heading of the data set `name` of this run in tables.
    pub fn heading(&self, name: DatasetName) -> &'static str {
        let folder = format!("{name}/");
        let own = self.contents.iter().filter(|(file, _)| file.starts_with(&folder));
        name.heading(own.map(|(_, sha256)| sha256.as_str()))
    }

    /// The headings of all its data sets.
    pub fn headings(&self) -> Headings {
        let names = self.datasets().filter_map(|name| name.parse().ok());
        let headed = names.map(|name| (name, self.heading(name)));
        Headings(headed.filter(|(name, heading)| name.label() != *heading).collect())
    }
}

impl Headings {
    /// The heading in place of `title`, if that is the label of one of these data sets.
    pub fn of(&self, title: &str) -> Option<&'static str> {
        self.0.iter().find(|(name, _)| name.label() == title).map(|(_, heading)| *heading)
    }

    /// `sentence`, in which each label that a colon or a number follows is replaced by its heading.
    pub fn in_sentence(&self, sentence: &str) -> String {
        self.0.iter().fold(sentence.to_string(), |text, (name, heading)| {
            let mut parts = text.split(name.label());
            let mut headed = parts.next().unwrap_or_default().to_string();
            for rest in parts {
                let is_counted = rest
                    .strip_prefix(' ')
                    .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
                headed += if rest.starts_with(": ") || is_counted { heading } else { name.label() };
                headed += rest;
            }
            headed
        })
    }

    /// The headings of samples, in the order of the tables.
    pub fn samples(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|(_, heading)| *heading)
    }
}

#[cfg(test)]
mod tests {
    use super::{DatasetName, Headings};

    #[test]
    fn labels_become_headings_where_they_name_what_was_read() {
        let headings = Headings(vec![(DatasetName::CONALA, "CoNaLa sample")]);
        assert_eq!(headings.of("CoNaLa"), Some("CoNaLa sample"));
        assert_eq!(headings.of("SPoC"), None);
        let sentence = "CoNaLa: 16 data; the paper's CoNaLa; FIMAX 39, CoNaLa 37, CoNaLa sample: 3";
        assert_eq!(
            headings.in_sentence(sentence),
            "CoNaLa sample: 16 data; the paper's CoNaLa; FIMAX 39, CoNaLa sample 37, CoNaLa sample: 3"
        );
    }
}
