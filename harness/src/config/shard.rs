//! Shards: parts of a run that processes do side by side.

/// One of several processes that share a run: the `index`-th of `of`, from 1. It takes every
/// `of`-th datum, so that all data sets are covered alike whenever the run is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    of: usize,
}

impl Shard {
    /// True if the shard runs the datum or case at `place` among the planned ones.
    pub fn takes(&self, place: usize) -> bool {
        place % self.of == self.index - 1
    }
}

impl std::str::FromStr for Shard {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(index, of)| {
            Some((index.parse::<usize>().ok()?, of.parse::<usize>().ok()?))
        });
        match numbers {
            Some((index, of)) if (1..=of).contains(&index) => Ok(Self { index, of }),
            _ => Err(format!("{text:?} is not I/N with 1 ≤ I ≤ N, as in 1/2")),
        }
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-of-{}", self.index, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::Shard;

    #[test]
    fn shards_are_parsed_or_refused() {
        assert_eq!("2/3".parse::<Shard>().unwrap().to_string(), "2-of-3");
        for wrong in ["0/2", "3/2", "1", "1/0", "a/b", "1/2/3", "-1/2"] {
            wrong.parse::<Shard>().unwrap_err();
        }
    }
}
