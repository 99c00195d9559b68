//! Texts that end a text.

/// Stop strings, none of them empty.
#[derive(Clone, Debug, Default)]
pub struct Stops(Vec<String>);

impl Stops {
    /// Keeps those of `stops` that are not empty.
    pub fn new(stops: Vec<String>) -> Self {
        Self(stops.into_iter().filter(|stop| !stop.is_empty()).collect())
    }

    /// End of `text` before a stop string, in bytes, if it holds one.
    pub(super) fn find(&self, text: &str) -> Option<usize> {
        self.0.iter().filter_map(|stop| text.find(stop.as_str())).min()
    }

    /// Number of bytes of `text` that cannot be the beginning of a stop string.
    pub(super) fn sure(&self, text: &str) -> usize {
        let begun = |stop: &String| {
            let mut lengths = (1..stop.len()).rev().filter(|&length| stop.is_char_boundary(length));
            lengths.find(|&length| text.ends_with(&stop[..length])).unwrap_or(0)
        };
        let held = self.0.iter().map(begun).max().unwrap_or(0);
        text.len() - held
    }
}

#[cfg(test)]
mod tests {
    use super::Stops;

    #[test]
    fn the_first_stop_ends_a_text_and_a_begun_one_is_held_back() {
        let stops = Stops::new(vec!["\nQuestion:".into(), "é!".into(), String::new()]);
        assert_eq!(stops.find("a é! b\nQuestion: c"), Some(2));
        assert_eq!(stops.find("a\nQuest"), None);
        assert_eq!(stops.sure("a\nQuest"), 1);
        assert_eq!(stops.sure("a\nQuestions"), 11);
        assert_eq!(stops.sure("ab é"), 3);
    }
}
