//! Decisions as bytes. The [module above](super) draws them.

use super::error::Broken;
use super::varint::{Bytes, put};
use crate::decisions::{Certificate, Decision, INTERVAL, Kind, Trace};

/// How many decisions a chunk has: a multiple of [`INTERVAL`], so that each chunk but the last ends
/// with a full certificate.
pub(crate) const CHUNK_DECISIONS: usize = 64 * INTERVAL;

/// The low half of a first byte. Below: who runs, of as many options as the last time.
const WIDE: u8 = 12;
const EXCHANGED: u8 = 13;
const REFUSED: u8 = 14;
const OTHER: u8 = 15;
/// The low half of the byte after that: options and choice follow.
const FULL: u8 = 15;

/// How many options the last decision of each kind had: most often the next has as many.
type Options = [usize; 16];

/// What the certificates of the decisions are known by.
const MARKED: u8 = 1;

/// What a chunk of decisions begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// How many decisions came before.
    pub(crate) first: u64,
    /// How many these are.
    pub(crate) count: u64,
}

/// The decisions from `first` on, [`CHUNK_DECISIONS`] of them at most, as a payload.
pub(crate) fn encode(trace: &Trace, first: usize) -> Vec<u8> {
    let decisions = &trace.decisions[first..];
    let decisions = &decisions[..decisions.len().min(CHUNK_DECISIONS)];
    let marked = trace.prefixes.len() == trace.decisions.len();
    let mut out = Vec::with_capacity(decisions.len() * 2 + 32);
    put(&mut out, first as u64);
    put(&mut out, decisions.len() as u64);
    out.push(if marked { MARKED } else { 0 });
    let known = |count: usize| trace.prefixes.full(count).filter(|_| marked);
    if let Some(before) = known(first) {
        out.extend_from_slice(&before.bits().to_le_bytes());
    }
    let mut options = Options::default();
    for (at, decision) in decisions.iter().enumerate() {
        let mark = trace.prefixes.mark(first + at).filter(|_| marked).unwrap_or(0);
        put_decision(&mut out, *decision, &mut options, mark << 4);
        let done = first + at + 1;
        let last = at + 1 == decisions.len();
        if (done.is_multiple_of(INTERVAL) || last)
            && let Some(certificate) = known(done)
        {
            out.extend_from_slice(&certificate.bits().to_le_bytes());
        }
    }
    out
}

fn put_decision(out: &mut Vec<u8>, decision: Decision, options: &mut Options, mark: u8) {
    let (kind, all, chosen) = (decision.kind(), decision.options(), decision.chosen());
    let same = core::mem::replace(&mut options[kind as usize], all) == all;
    match kind {
        Kind::Schedule if same && chosen < usize::from(WIDE) => out.push(mark | chosen as u8),
        Kind::Schedule if all < 16 => out.extend([mark | WIDE, (all as u8) << 4 | chosen as u8]),
        Kind::WeakExchange if all == 2 => {
            out.push(mark | if chosen == 0 { EXCHANGED } else { REFUSED });
        }
        kind if same && chosen < usize::from(FULL) => {
            out.extend([mark | OTHER, (kind as u8) << 4 | chosen as u8]);
        }
        kind => {
            out.extend([mark | OTHER, (kind as u8) << 4 | FULL]);
            put(out, all as u64);
            put(out, chosen as u64);
        }
    }
}

/// What a payload begins with.
pub(crate) fn span(payload: &[u8]) -> Result<Span, Broken> {
    let mut bytes = Bytes::new(payload);
    let first = bytes.number()?;
    let count = bytes.count(1)? as u64;
    if count == 0 {
        return Err(Broken("a chunk of no decisions"));
    }
    Ok(Span { first, count })
}

/// Appends the decisions of a payload to `trace`. What was appended before an error is taken away
/// again.
pub(crate) fn decode(payload: &[u8], trace: &mut Trace) -> Result<(), Broken> {
    let (decisions, prefixes) = (trace.decisions.len(), trace.prefixes.position());
    let result = append(payload, trace);
    if result.is_err() {
        trace.decisions.truncate(decisions);
        trace.prefixes.return_to(prefixes);
    }
    result
}

fn append(payload: &[u8], trace: &mut Trace) -> Result<(), Broken> {
    let Span { first, count } = span(payload)?;
    if first != trace.decisions.len() as u64 {
        return Err(Broken("decisions are missing before these"));
    }
    let mut bytes = Bytes::new(payload);
    bytes.number()?;
    bytes.number()?;
    let marked = match bytes.byte()? {
        0 => false,
        MARKED => true,
        _ => return Err(Broken("decisions of an unknown form")),
    };
    if first > 0 && marked == trace.prefixes.is_empty() {
        return Err(Broken("the certificates are there for some decisions only"));
    }
    if marked {
        let before = Certificate::from_bits(bytes.fixed()?);
        if trace.prefixes.full(trace.decisions.len()) != Some(before) {
            return Err(Broken("the decisions are not the continuation of those before"));
        }
    }
    let mut options = Options::default();
    for left in (0..count).rev() {
        let byte = bytes.byte()?;
        let decision = take_decision(&mut bytes, byte & 0xf, &mut options)?;
        trace.decisions.push(decision);
        if marked {
            let kept = trace.decisions.len().is_multiple_of(INTERVAL);
            let full = match kept || left == 0 {
                true => Some(Certificate::from_bits(bytes.fixed()?)),
                false => None,
            };
            if full.is_some_and(|full| full.mark() != byte >> 4) {
                return Err(Broken("a certificate is not what its mark says"));
            }
            trace.prefixes.restore(byte >> 4, full.filter(|_| kept));
            if let Some(full) = full {
                trace.prefixes.end(full);
            }
        } else if byte >> 4 != 0 {
            return Err(Broken("decisions of an unknown form"));
        }
    }
    if bytes.is_empty() { Ok(()) } else { Err(Broken("bytes are left over")) }
}

fn take_decision(
    bytes: &mut Bytes<'_>,
    code: u8,
    options: &mut Options,
) -> Result<Decision, Broken> {
    let (kind, all, chosen) = match code {
        EXCHANGED => (Kind::WeakExchange, 2, 0),
        REFUSED => (Kind::WeakExchange, 2, 1),
        WIDE => {
            let byte = bytes.byte()?;
            (Kind::Schedule, u64::from(byte >> 4), u64::from(byte & 0xf))
        }
        OTHER => {
            let byte = bytes.byte()?;
            let kind = Kind::from_bits(u32::from(byte >> 4));
            let kind = kind.ok_or(Broken("a kind of decision that this build does not know"))?;
            match byte & 0xf {
                FULL => (kind, bytes.number()?, bytes.number()?),
                chosen => (kind, options[kind as usize] as u64, u64::from(chosen)),
            }
        }
        same => (Kind::Schedule, options[Kind::Schedule as usize] as u64, u64::from(same)),
    };
    let decision = Decision::checked(kind, all, chosen).ok_or(Broken("no such decision"))?;
    options[kind as usize] = decision.options();
    Ok(decision)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::{CHUNK_DECISIONS, decode, encode};
    use crate::decisions::{Certificate, Decision, Kind, MAX_OPTIONS, Trace};

    /// Mostly what executions are made of, and now and then anything.
    fn decision() -> impl Strategy<Value = Decision> {
        let anything = (0..5_u32, 1..=MAX_OPTIONS, any::<prop::sample::Index>());
        prop_oneof![
            20 => (1..9_usize, any::<prop::sample::Index>())
                .prop_map(|(all, at)| Decision::new(Kind::Schedule, all, at.index(all))),
            3 => (0..2_usize).prop_map(|chosen| Decision::new(Kind::WeakExchange, 2, chosen)),
            1 => anything.prop_map(|(kind, all, at)| {
                let kind = Kind::from_bits(kind).expect("a kind");
                Decision::new(kind, all, at.index(all))
            }),
        ]
    }

    fn trace(decisions: &[Decision], repeat: usize, marked: bool) -> Trace {
        let mut trace = Trace::new(7, decisions.repeat(repeat));
        let mut certificate = Certificate::default();
        for (step, decision) in trace.decisions.iter().enumerate().filter(|_| marked) {
            certificate.extend(step as u64, 1, 2, *decision);
            trace.prefixes.push(certificate);
        }
        trace
    }

    fn through(trace: &Trace) -> (Trace, usize) {
        let mut read = Trace::new(trace.seed, Vec::new());
        let mut bytes = 0;
        for first in (0..trace.decisions.len()).step_by(CHUNK_DECISIONS) {
            let payload = encode(trace, first);
            bytes += payload.len();
            assert_eq!(decode(&payload, &mut read), Ok(()));
        }
        (read, bytes)
    }

    proptest! {
        #[test]
        fn any_trace_is_read_as_it_is_written(
            decisions in vec(decision(), 0..300),
            repeat in prop_oneof![Just(1_usize), Just(1), Just(40)],
            marked in any::<bool>(),
        ) {
            let trace = trace(&decisions, repeat, marked);
            prop_assert_eq!(through(&trace).0, trace);
        }

        #[test]
        fn what_cannot_be_read_leaves_no_trace(
            decisions in vec(decision(), 1..100),
            cut in any::<prop::sample::Index>(),
            change in any::<(prop::sample::Index, u8)>(),
        ) {
            let trace = trace(&decisions, 1, true);
            let mut payload = encode(&trace, 0);
            let mut read = Trace::new(7, Vec::new());
            let before = read.clone();
            prop_assert!(decode(&payload[..cut.index(payload.len())], &mut read).is_err());
            prop_assert_eq!(&read, &before);
            let at = change.0.index(payload.len());
            payload[at] ^= change.1;
            if decode(&payload, &mut read).is_err() {
                prop_assert_eq!(&read, &before);
            }
        }
    }

    #[test]
    fn a_decision_with_its_mark_takes_two_bytes_at_most() {
        let of = |index: usize| Decision::new(Kind::Schedule, 2 + index % 13, index % 2);
        let worst: Vec<_> = (0..CHUNK_DECISIONS).map(of).collect();
        let trace = trace(&worst, 1, true);
        // Besides: the full certificates, eight bytes for each 64.
        let full = 8.0 / 64.0;
        let bytes = through(&trace).1 as f64 / worst.len() as f64;
        assert!(bytes <= 2.0 + full + 0.01, "{bytes}");
        let usual: Vec<_> = (0..5).map(|chosen| Decision::new(Kind::Schedule, 5, chosen)).collect();
        let trace = super::tests::trace(&usual, 1000, true);
        let bytes = through(&trace).1 as f64 / 5000.0;
        assert!(bytes <= 1.0 + full + 0.02, "{bytes}");
    }
}
