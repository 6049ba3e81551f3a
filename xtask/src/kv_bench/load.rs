//! The load: one test of redis-benchmark, and the rate that it reports.

use std::process::Command;

use clap::ValueEnum;

use super::server::Server;
use crate::Error;

/// A test that redis-benchmark has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    Ping,
    Set,
    Get,
    Incr,
    Mset,
}

/// Which keys the requests name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Keys {
    /// One of a million, all with the same probability.
    Uniform,
    /// One of a hundred.
    Skewed,
    /// Always the same.
    OneHot,
}

/// What is measured.
pub(crate) struct Load {
    pub(crate) test: Test,
    pub(crate) keys: Option<Keys>,
    pub(crate) requests: u64,
    pub(crate) clients: u64,
    pub(crate) pipeline: u64,
}

impl Test {
    /// SET comes before GET, which reads what it wrote.
    pub(crate) const ALL: &[Self] = &[Self::Ping, Self::Set, Self::Get, Self::Incr, Self::Mset];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Set => "set",
            Self::Get => "get",
            Self::Incr => "incr",
            Self::Mset => "mset",
        }
    }

    /// What redis-benchmark calls it.
    fn option(self) -> &'static str {
        match self {
            Self::Ping => "ping_mbulk",
            other => other.name(),
        }
    }

    /// Whether its requests name keys.
    pub(crate) fn has_keys(self) -> bool {
        self != Self::Ping
    }
}

impl Keys {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Skewed => "skewed",
            Self::OneHot => "one-hot",
        }
    }

    /// How many different keys there are; without a number redis-benchmark uses one.
    fn range(self) -> Option<u64> {
        match self {
            Self::Uniform => Some(1_000_000),
            Self::Skewed => Some(100),
            Self::OneHot => None,
        }
    }
}

impl Load {
    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["--csv".to_owned(), "-t".into(), self.test.option().into()];
        let range = self.keys.and_then(Keys::range);
        let options = [
            ("-n", Some(self.requests)),
            ("-c", Some(self.clients)),
            ("-P", Some(self.pipeline)),
            ("-r", range),
        ];
        for (option, value) in options {
            if let Some(value) = value {
                arguments.extend([option.to_owned(), value.to_string()]);
            }
        }
        arguments
    }

    /// Requests per second.
    pub(crate) fn measure(&self, server: &Server) -> Result<f64, Error> {
        let address = server.address;
        let output = Command::new("redis-benchmark")
            .args(["-h", &address.ip().to_string(), "-p", &address.port().to_string()])
            .args(self.arguments())
            .output()
            .map_err(|error| Error::new(format!("cannot run redis-benchmark: {error}")))?;
        let stdout = String::from_utf8_lossy(&output.stdout);
        match rate(&stdout) {
            Some(rate) if output.status.success() => Ok(rate),
            _ => {
                let stderr = String::from_utf8_lossy(&output.stderr);
                Err(Error::new(format!(
                    "redis-benchmark -t {} against {} ended with {}: {}{}",
                    self.test.option(),
                    server.name,
                    output.status,
                    stdout.trim(),
                    stderr.trim()
                )))
            }
        }
    }
}

/// The rate of the one test in what `redis-benchmark --csv` prints: a line of titles, and a line
/// per test.
fn rate(csv: &str) -> Option<f64> {
    let mut lines = csv.lines().skip_while(|line| !line.starts_with("\"test\""));
    let column = fields(lines.next()?).position(|title| title == "rps")?;
    let rate: f64 = fields(lines.next()?).nth(column)?.parse().ok()?;
    (rate.is_finite() && rate > 0.0).then_some(rate)
}

/// The fields of a line. All are quoted, and none contains a quote.
fn fields(line: &str) -> impl Iterator<Item = &str> {
    line.trim().trim_matches('"').split("\",\"")
}

#[cfg(test)]
mod tests {
    use super::{Keys, Load, Test, rate};

    /// As redis-benchmark 7.0.15 prints it.
    const TITLES: &str = concat!(
        r#""test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","#,
        r#""p95_latency_ms","p99_latency_ms","max_latency_ms""#,
        "\n"
    );

    #[test]
    fn the_rate_is_in_its_column() {
        let line = r#""PING_MBULK","833333.31","0.065","0.016","0.063","0.111","0.135","0.311""#;
        assert_eq!(rate(&format!("{TITLES}{line}")), Some(833_333.31));
    }

    #[test]
    fn a_name_may_contain_commas_and_a_warning_may_come_first() {
        let line = r#""MSET (10 keys, 3 bytes)","434782.59","0.165""#;
        let warning = "WARNING: Could not fetch server CONFIG\n";
        assert_eq!(rate(&format!("{warning}{TITLES}{line}")), Some(434_782.59));
    }

    #[test]
    fn what_is_no_result_has_no_rate() {
        for text in ["", "ERR unknown command", TITLES, &format!("{TITLES}\"GET\",\"nan\"\n")] {
            assert_eq!(rate(text), None, "{text:?}");
        }
    }

    #[test]
    fn one_hot_keys_have_no_range() {
        let load = |keys| Load { test: Test::Get, keys, requests: 9, clients: 8, pipeline: 7 };
        let arguments = load(Some(Keys::OneHot)).arguments().join(" ");
        assert_eq!(arguments, "--csv -t get -n 9 -c 8 -P 7");
        let arguments = load(Some(Keys::Skewed)).arguments().join(" ");
        assert_eq!(arguments, "--csv -t get -n 9 -c 8 -P 7 -r 100");
    }
}
