//! The table that is printed, and the rows that are written.

use std::fmt;

use serde::Serialize;

use super::load::{Keys, Test};

/// One test with one choice of keys, on both servers.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    test: &'static str,
    keys: &'static str,
    /// Median, in requests per second.
    raddle_rps: Option<f64>,
    redis_rps: Option<f64>,
    /// How many times as fast raddle-kv is; none if Redis was not measured.
    ratio: Option<f64>,
}

/// The titles of the columns.
pub(crate) const HEADER: &str = "test  keys       raddle req/s   redis req/s  ratio";

impl Row {
    /// The row of these rates, in requests per second.
    pub(crate) fn new(test: Test, keys: Option<Keys>, raddle: &[f64], redis: &[f64]) -> Self {
        let (raddle_rps, redis_rps) = (median(raddle), median(redis));
        let ratio = raddle_rps.zip(redis_rps).map(|(raddle, redis)| raddle / redis);
        Self {
            test: test.name(),
            keys: keys.map_or("none", Keys::name),
            raddle_rps,
            redis_rps,
            ratio,
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = |rate: Option<f64>| rate.map_or("-".to_owned(), |rate| grouped(rate as u64));
        let ratio = self.ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
        let Self { test, keys, .. } = self;
        let (raddle, redis) = (rate(self.raddle_rps), rate(self.redis_rps));
        write!(f, "{test:<5} {keys:<8} {raddle:>14} {redis:>13} {ratio:>6}")
    }
}

/// The middle one, or the mean of the middle two.
fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    Some(if sorted.len() % 2 == 1 { upper } else { f64::midpoint(sorted[middle - 1], upper) })
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{HEADER, Keys, Row, Test, grouped, median};

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn columns_stand_below_their_titles() {
        let row = Row::new(Test::Mset, Some(Keys::Uniform), &[1_234_567.0], &[2_469_134.0]);
        assert_eq!(row.to_string(), "mset  uniform       1,234,567     2,469,134   0.50");
        assert_eq!(row.to_string().len(), HEADER.len());
    }

    #[test]
    fn without_redis_there_is_no_ratio() {
        let row = Row::new(Test::Ping, None, &[1.0], &[]);
        let json = serde_json::to_value(&row).expect("a row is JSON");
        let expected = serde_json::json!({
            "test": "ping", "keys": "none", "raddle_rps": 1.0, "redis_rps": null, "ratio": null
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn digits_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
