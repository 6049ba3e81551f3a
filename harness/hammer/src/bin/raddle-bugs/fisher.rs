//! Whether two shares differ by more than chance.

/// The one-sided exact test of Fisher (1935): how likely the first of two series finds so many or
/// more, if what both found fell to either by chance. Each is `(found, runs)`.
pub(crate) fn greater((found, runs): (u32, u32), (other_found, other_runs): (u32, u32)) -> f64 {
    let all_found = found + other_found;
    let least = all_found.saturating_sub(other_runs);
    let most = all_found.min(runs);
    let all = ln_choose(runs + other_runs, all_found);
    let chance =
        |hits: u32| (ln_choose(runs, hits) + ln_choose(other_runs, all_found - hits) - all).exp();
    (found.max(least)..=most).map(chance).sum::<f64>().min(1.0)
}

/// The logarithm of the number of ways to choose `k` of `n`.
fn ln_choose(n: u32, k: u32) -> f64 {
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
}

fn ln_factorial(n: u32) -> f64 {
    (1..=n).map(|factor| f64::from(factor).ln()).sum()
}

#[cfg(test)]
mod tests {
    use super::greater;

    fn close(p: f64, expected: f64) -> bool {
        (p - expected).abs() < 1e-9 * expected
    }

    /// The lady tasting tea: 8 cups, 4 of each kind.
    #[test]
    fn fishers_own_example() {
        assert!(close(greater((4, 4), (0, 4)), 1.0 / 70.0));
        assert!(close(greater((3, 4), (1, 4)), 17.0 / 70.0));
        assert!(close(greater((2, 4), (2, 4)), 53.0 / 70.0));
        assert!(close(greater((0, 4), (4, 4)), 1.0));
    }

    #[test]
    fn series_of_different_length() {
        // 1 of 10 against 11 of 14 is 0.001346… for the lesser side; here the greater one.
        let p = greater((11, 14), (1, 10));
        assert!((p - 0.001_379_728).abs() < 1e-8, "{p}");
    }

    #[test]
    fn nothing_found_says_nothing() {
        assert!(close(greater((0, 400), (0, 400)), 1.0));
        assert!(greater((11, 400), (0, 400)) < 0.001);
    }
}
