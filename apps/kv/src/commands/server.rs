//! Commands about the server.

use core::fmt::Write as _;

use raddle::on::{Atomic, Clock, Ordering, Platform};

use super::connection::REDIS_VERSION;
use super::{Failure, Outcome};
use crate::config::Switch;
use crate::glob;
use crate::protocol::{Args, BULK_LENGTH_MAX, Decimal, Output};
use crate::session::Session;

type S<'a, 's, P> = &'a mut Session<'s, P>;

const SECTIONS: [&str; 7] =
    ["server", "clients", "memory", "persistence", "stats", "replication", "keyspace"];

pub(super) fn info<P: Platform>(
    session: S<'_, '_, P>,
    args: Args<'_>,
    out: &mut Output,
) -> Outcome {
    let wants_all = args.len() == 1
        || ["all", "default", "everything"]
            .iter()
            .any(|word| args.from(1).any(|section| section.eq_ignore_ascii_case(word.as_bytes())));
    let mut text = String::new();
    for section in SECTIONS {
        let named = |section: &str| {
            args.from(1).any(|argument| argument.eq_ignore_ascii_case(section.as_bytes()))
        };
        if wants_all || named(section) {
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            write_section(session, section, &mut text);
        }
    }
    out.room(text.len())?;
    out.verbatim(text.as_bytes());
    Ok(())
}

fn write_section<P: Platform>(session: &Session<'_, P>, section: &str, text: &mut String) {
    let mut title = section.to_owned();
    title[..1].make_ascii_uppercase();
    text.push_str("# ");
    text.push_str(&title);
    text.push_str("\r\n");
    let mut field = |name: &str, value: &dyn core::fmt::Display| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{name}:{value}\r\n");
    };
    let shared = session.shared;
    let load = |counter: &P::AtomicU64| counter.load(Ordering::Relaxed);
    match section {
        "server" => {
            let uptime = (P::Clock::now() - shared.started).as_secs();
            field("redis_version", &REDIS_VERSION);
            field("raddle_version", &env!("CARGO_PKG_VERSION"));
            field("redis_mode", &"standalone");
            field("arch_bits", &usize::BITS);
            field("multiplexing_api", &shared.driver);
            field("run_id", &shared.run_id);
            field("tcp_port", &shared.config.port);
            field("server_time_usec", &P::Clock::wall().as_micros());
            field("uptime_in_seconds", &uptime);
            field("uptime_in_days", &(uptime / 86_400));
            field("workers", &shared.workers);
        }
        "clients" => {
            let (channels, patterns) = shared.pubsub.len();
            field("connected_clients", &shared.ledger.count());
            field("maxclients", &shared.config.max_clients);
            field("blocked_clients", &0);
            field("pubsub_clients_channels", &channels);
            field("pubsub_clients_patterns", &patterns);
        }
        "memory" => {
            field("mem_clients_normal", &shared.ledger.total());
            field("maxmemory_clients", &shared.ledger.limit());
            field("maxmemory", &0);
            field("maxmemory_policy", &"noeviction");
        }
        "persistence" => {
            field("loading", &0);
            field("rdb_bgsave_in_progress", &0);
            let journal = shared.keyspace.journal();
            field("aof_enabled", &u8::from(journal.is_some()));
            if let Some(journal) = journal {
                let status = journal.status();
                let ok = |failed| if failed { "err" } else { "ok" };
                field("aof_rewrite_in_progress", &u8::from(status.rewriting));
                field("aof_last_bgrewrite_status", &ok(status.rewrite_failed));
                field("aof_last_write_status", &ok(status.failed));
                field("aof_current_size", &status.size);
                field("aof_base_size", &status.base_size);
            }
        }
        "stats" => {
            let (channels, patterns) = shared.pubsub.len();
            field("total_connections_received", &load(&shared.stats.connections));
            field("total_commands_processed", &load(&shared.stats.commands));
            field("total_net_input_bytes", &load(&shared.stats.received));
            field("total_net_output_bytes", &load(&shared.stats.sent));
            field("rejected_connections", &load(&shared.stats.rejected));
            let shards = shared.keyspace.lock_all();
            let expired: u64 = shards.iter().map(|shard| shard.expired()).sum();
            drop(shards);
            field("expired_keys", &expired);
            field("evicted_keys", &0);
            field("evicted_clients", &shared.ledger.evicted());
            field("keyspace_hits", &load(&shared.stats.hits));
            field("keyspace_misses", &load(&shared.stats.misses));
            field("pubsub_channels", &channels);
            field("pubsub_patterns", &patterns);
            field("pubsub_dropped_messages", &shared.pubsub.dropped());
        }
        "replication" => {
            field("role", &"master");
            field("connected_slaves", &0);
        }
        "keyspace" => {
            let shards = shared.keyspace.lock_all();
            let keys: usize = shards.iter().map(|shard| shard.len()).sum();
            let volatile: usize = shards.iter().map(|shard| shard.volatile()).sum();
            drop(shards);
            if keys > 0 {
                field("db0", &format_args!("keys={keys},expires={volatile},avg_ttl=0"));
            }
        }
        _ => {}
    }
}

pub(super) fn rewrite<P: Platform>(session: S<'_, '_, P>, out: &mut Output) -> Outcome {
    let Some(journal) = session.shared.keyspace.journal() else {
        return Err(const { Failure::error("ERR there is no append-only file: see --appendonly") });
    };
    if !journal.ask_for_rewrite() {
        return Err(const {
            Failure::error("ERR Background append only file rewriting already in progress")
        });
    }
    out.simple("Background append only file rewriting started");
    Ok(())
}

pub(super) fn time<P: Platform>(out: &mut Output) -> Outcome {
    let now = P::Clock::wall();
    out.array(2);
    out.bulk(Decimal::from(now.as_secs()).as_bytes());
    out.bulk(Decimal::from(u64::from(now.subsec_micros())).as_bytes());
    Ok(())
}

pub(super) fn config_get<P: Platform>(
    session: S<'_, '_, P>,
    args: Args<'_>,
    out: &mut Output,
) -> Outcome {
    let config = &session.shared.config;
    let limits = format!("normal 0 0 0 slave 0 0 0 pubsub {} 0 0", config.output_buffer);
    let appendonly = if config.appendonly == Switch::Yes { "yes" } else { "no" };
    let parameters: [(&str, String); 20] = [
        ("appendfilename", config.appendfilename.to_string_lossy().into_owned()),
        ("appendfsync", config.appendfsync.name().to_owned()),
        ("appendonly", appendonly.to_owned()),
        ("auto-aof-rewrite-min-size", config.auto_aof_rewrite_min_size.to_string()),
        ("auto-aof-rewrite-percentage", config.auto_aof_rewrite_percentage.to_string()),
        ("bind", config.bind.to_string()),
        ("client-output-buffer-limit", limits),
        ("client-query-buffer-limit", crate::protocol::REQUEST_LENGTH_MAX.to_string()),
        ("databases", "1".to_owned()),
        ("dir", config.dir.to_string_lossy().into_owned()),
        ("io-threads", session.shared.workers.to_string()),
        ("maxclients", config.max_clients.to_string()),
        ("maxmemory", "0".to_owned()),
        ("maxmemory-clients", config.client_memory.to_string()),
        ("maxmemory-policy", "noeviction".to_owned()),
        ("port", config.port.to_string()),
        ("proto-max-bulk-len", BULK_LENGTH_MAX.to_string()),
        ("save", String::new()),
        ("tcp-keepalive", "0".to_owned()),
        ("timeout", "0".to_owned()),
    ];
    let patterns: Vec<Vec<u8>> = args.from(2).map(<[u8]>::to_ascii_lowercase).collect();
    let wanted =
        |name: &str| patterns.iter().any(|pattern| glob::matches(pattern, name.as_bytes()));
    let chosen: Vec<_> = parameters.iter().filter(|(name, _)| wanted(name)).collect();
    out.room(chosen.iter().map(|(name, value)| name.len() + value.len() + 32).sum())?;
    out.map(chosen.len());
    for (name, value) in chosen {
        out.bulk(name.as_bytes());
        out.bulk(value.as_bytes());
    }
    Ok(())
}
