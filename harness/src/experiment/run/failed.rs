//! Trials without a result: an edit made logits that are not finite. They are no reason to lose the others.

use crate::error::NonFinite;
use anyhow::{Result, ensure};

/// The names of such trials.
#[derive(Default)]
pub(crate) struct FailedTrials(Vec<String>);

impl FailedTrials {
    /// Returns the result of the trial called `name`; `None`, and a note, where logits were not finite.
    ///
    /// # Errors
    /// Any other error.
    pub(crate) fn catch<T>(
        &mut self,
        name: impl FnOnce() -> String,
        trial: Result<T>,
    ) -> Result<Option<T>> {
        match trial {
            Err(error) if error.is::<NonFinite>() => {
                let name = name();
                tracing::warn!("{name}: {error:#}; nothing is recorded for it");
                self.0.push(name);
                Ok(None)
            }
            other => other.map(Some),
        }
    }

    /// Ends a run.
    ///
    /// # Errors
    /// If a trial has no result.
    pub(crate) fn end(&self) -> Result<()> {
        ensure!(
            self.0.is_empty(),
            "no result, as logits were not finite: {}. All other results are recorded, and `ment report` shows \
             them",
            self.0.join("; ")
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::FailedTrials;
    use crate::error::NonFinite;
    use anyhow::{Context, Result, bail};

    #[test]
    fn only_logits_that_are_not_finite_are_caught() {
        let mut failed = FailedTrials::default();
        assert_eq!(failed.catch(|| "a".into(), Ok(3)).unwrap(), Some(3));
        assert!(failed.end().is_ok());
        let broken: Result<()> = Err(NonFinite.into());
        assert!(
            failed.catch(|| "MENT on conala 3".into(), broken.context("probed")).unwrap().is_none()
        );
        let other = || -> Result<()> { bail!("disk full") };
        assert!(failed.catch(|| "c".into(), other()).is_err());
        let said = failed.end().unwrap_err().to_string();
        assert!(said.contains("not finite: MENT on conala 3. All other"), "{said}");
    }
}
