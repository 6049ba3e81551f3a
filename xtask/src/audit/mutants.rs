//! The mutants: each thing that a site promises and could not.

use std::collections::BTreeMap;

use raddle_coverage::{Catalogue, Entry, Hits, Operation, Site};

use super::explained::Explanation;
use super::harness::Reach;
use crate::Error;

/// One change at one site.
#[derive(Clone, Debug)]
pub(crate) struct Mutant {
    /// A name that stays when lines move: the site's key, and the change.
    pub(crate) id: String,
    pub(crate) site: Site,
    pub(crate) function: String,
    /// The operation, the how-manieth of its name it is in the function, and its orderings.
    pub(crate) operation: String,
    pub(crate) change: String,
    pub(crate) explanation: Option<String>,
    /// The scenarios that come there, the quick ones first: name, suggested bound.
    pub(crate) scenarios: Vec<(String, Option<usize>)>,
}

impl Mutant {
    /// What `raddle-loom --mutate` is given.
    pub(crate) fn argument(&self) -> String {
        format!("{}={}", self.site, self.change)
    }

    /// Whether it is in a package of this name, or in a directory of this name.
    pub(crate) fn is_of(&self, package: &str) -> bool {
        let directory = package.strip_prefix("raddle-").unwrap_or(package);
        self.site.file.split('/').nth(1) == Some(directory)
    }
}

/// The changes that an operation allows. The arms of a compare-exchange lie only if they are taken.
fn changes(operation: &Operation, succeeded: bool, failed: bool) -> Vec<String> {
    let Operation { name, orderings } = operation;
    let mut changes = Vec::new();
    for (slot, from) in ["", "failure:"].into_iter().zip(orderings) {
        let weaker: &[&str] = match from.as_str() {
            "SeqCst" if name == "fence" => &["AcqRel"],
            "AcqRel" => &["Acquire", "Release"],
            "Acquire" | "Release" => &["Relaxed"],
            _ => &[],
        };
        changes.extend(weaker.iter().map(|to| format!("{slot}{from}->{to}")));
    }
    if matches!(name.as_str(), "fence_light" | "fence_heavy") {
        // They say by their names what they order.
        changes.push("SeqCst->AcqRel".to_owned());
    }
    if name == "notify" {
        changes.push("drop".to_owned());
    }
    if succeeded {
        changes.push("Ok->Err".to_owned());
    }
    if failed {
        changes.push("Err->Ok".to_owned());
    }
    changes
}

/// All mutants of the sites that some scenario reaches, in the order of the text.
pub(crate) fn all(
    catalogue: &Catalogue,
    reach: &[Reach],
    explained: &[Explanation],
) -> Result<Vec<Mutant>, Error> {
    let mut hits = Hits::default();
    for reach in reach {
        hits.merge(reach.hits.clone()).map_err(Error::new)?;
    }
    let mut wakes: BTreeMap<Site, Vec<&Reach>> = BTreeMap::new();
    for reach in reach {
        for wake in &reach.wakes {
            let site = wake.parse().map_err(Error::new)?;
            wakes.entry(site).or_default().push(reach);
        }
    }
    let mut mutants = Vec::new();
    for entry in catalogue.entries() {
        let mut add = |change: String, reached_by: Vec<&Reach>| {
            mutants.push(mutant(entry, change, &reached_by, explained));
        };
        if let Some(hit) = hits.get(&entry.site) {
            for change in changes(&hit.operation, hit.succeeded > 0, hit.failed > 0) {
                let comes = |reach: &&Reach| {
                    reach.hits.get(&entry.site).is_some_and(|hit| match change.as_str() {
                        "Ok->Err" => hit.succeeded > 0,
                        "Err->Ok" => hit.failed > 0,
                        _ => hit.count > 0,
                    })
                };
                add(change.clone(), reach.iter().filter(comes).collect());
            }
        }
        if let Some(reached_by) = wakes.get(&entry.site) {
            add("drop-wake".to_owned(), reached_by.clone());
        }
    }
    Ok(mutants)
}

fn mutant(
    entry: &Entry,
    change: String,
    reached_by: &[&Reach],
    explained: &[Explanation],
) -> Mutant {
    let Operation { name, orderings } = &entry.operation;
    let site = entry.site.to_string();
    let explanation = explained.iter().find(|explanation| explanation.covers(&site));
    Mutant {
        id: format!("{} {change}", entry.key()),
        site: entry.site.clone(),
        function: entry.function.clone(),
        operation: format!("{name}#{}({})", entry.index + 1, orderings.join(", ")),
        change,
        explanation: explanation.map(|explanation| explanation.reason.clone()),
        scenarios: reached_by.iter().map(|reach| (reach.scenario.clone(), reach.bound)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Operation, changes};

    fn of(name: &str, orderings: &[&str]) -> Vec<String> {
        let orderings = orderings.iter().map(|&order| order.to_owned()).collect();
        changes(&Operation { name: name.to_owned(), orderings }, false, false)
    }

    #[test]
    fn each_ordering_is_weakened_by_one_step() {
        assert_eq!(of("load", &["Acquire"]), ["Acquire->Relaxed"]);
        assert_eq!(of("swap", &["AcqRel"]), ["AcqRel->Acquire", "AcqRel->Release"]);
        assert_eq!(of("fence", &["SeqCst"]), ["SeqCst->AcqRel"]);
        assert_eq!(
            of("compare_exchange", &["Release", "Acquire"]),
            ["Release->Relaxed", "failure:Acquire->Relaxed"]
        );
        assert!(of("load", &["Relaxed"]).is_empty());
    }

    #[test]
    fn only_the_arms_that_are_taken_lie() {
        let exchange = Operation { name: "compare_exchange".to_owned(), orderings: Vec::new() };
        assert_eq!(changes(&exchange, true, false), ["Ok->Err"]);
        assert_eq!(changes(&exchange, true, true), ["Ok->Err", "Err->Ok"]);
    }
}
