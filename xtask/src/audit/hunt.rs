//! Looks for the scenario that kills a mutant.

use super::harness::{Harness, Run};
use super::ledger::{Fate, Row};
use super::mutants::Mutant;
use crate::Error;

/// How long one scenario may take in the first round, in seconds; each round it may take more.
const FIRST_SHARE: f64 = 0.5;

/// Runs the scenarios that reach `mutant` until one fails, or `budget` seconds are spent: first the
/// one that killed it `before`.
pub(crate) fn hunt(
    mutant: &Mutant,
    harness: &Harness,
    before: Option<&str>,
    budget: f64,
) -> Result<Row, Error> {
    let mut hunt = Hunt { mutant, harness, budget, spent: 0.0, reached: false, complete: true };
    let known = |(name, _): &&(String, Option<usize>)| Some(name.as_str()) == before;
    if let Some((name, bound)) = mutant.scenarios.iter().find(known)
        && let Some(message) = hunt.run(name, *bound, budget)?
    {
        return Ok(hunt.killed(name, message));
    }
    for round in [Some(1), Some(2), None] {
        // What a round did not finish is of no account if the last one does.
        hunt.complete = true;
        for (name, suggested) in &mutant.scenarios {
            let bound = match (round, *suggested) {
                (Some(round), suggested) => Some(suggested.map_or(round, |most| most.min(round))),
                // It was explored to its end already.
                (None, Some(most)) if most <= 2 => continue,
                (None, suggested) => suggested,
            };
            let share = match round {
                Some(1) => FIRST_SHARE,
                Some(_) => FIRST_SHARE * 8.0,
                None => budget,
            };
            if let Some(message) = hunt.run(name, bound, share)? {
                return Ok(hunt.killed(name, message));
            }
            if hunt.spent >= budget {
                return Ok(hunt.survived(Fate::BudgetSpent));
            }
        }
    }
    let fate = match (hunt.reached, hunt.complete) {
        (false, _) => Fate::NotReached,
        (true, true) => Fate::Survived,
        (true, false) => Fate::BudgetSpent,
    };
    Ok(hunt.survived(fate))
}

struct Hunt<'a> {
    mutant: &'a Mutant,
    harness: &'a Harness,
    budget: f64,
    /// Seconds of processor time.
    spent: f64,
    /// Some execution did something other than the code says.
    reached: bool,
    /// No scenario ran out of time in this round.
    complete: bool,
}

impl Hunt<'_> {
    /// The message with which the scenario fails.
    fn run(
        &mut self,
        scenario: &str,
        bound: Option<usize>,
        share: f64,
    ) -> Result<Option<String>, Error> {
        let seconds = share.min(self.budget - self.spent).max(0.1);
        let (run, spent) = self.harness.run(scenario, &self.mutant.argument(), bound, seconds)?;
        self.spent += spent;
        match run {
            Run::Failed(message) => return Ok(Some(message)),
            Run::Held => self.reached = true,
            Run::TimedOut => (self.reached, self.complete) = (true, false),
            Run::NotReached => {}
        }
        Ok(None)
    }

    fn killed(self, scenario: &str, message: String) -> Row {
        let mut row = self.survived(Fate::Killed);
        (row.killer, row.message) = (Some(scenario.to_owned()), Some(message));
        row
    }

    fn survived(self, fate: Fate) -> Row {
        let Mutant { id, site, function, operation, change, explanation, scenarios } = self.mutant;
        Row {
            id: id.clone(),
            site: site.to_string(),
            function: function.clone(),
            operation: operation.clone(),
            change: change.clone(),
            fate,
            killer: None,
            message: None,
            explanation: explanation.clone(),
            scenarios: scenarios.len(),
            seconds: self.spent,
        }
    }
}
