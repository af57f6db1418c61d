//! A run as it happens: one plain line an event, and the message beside a progress bar.
//!
//! Provisional by nature: what stands here is seen before anything explains it. The verdict
//! is `text`'s.

use super::{escape, figures, words};
use crate::model::{
    fleet::{
        host::{HostId, HostName},
        units::{BitRate, RunTime},
    },
    run::event::RunEvent,
};

/// Below this a host counts as carrying nothing: probes and late acknowledgements are less.
const SILENT_BELOW_BPS: u64 = 10_000;

/// Hosts whose capacity is listed one by one; of a larger fleet only the range is told.
const CAPACITIES_SHOWN: usize = 8;

/// The line for an event, without a line break; `None` for what only moves a progress bar.
///
/// `names` are the hosts' names by host number; a number beyond them reads `host 9`.
pub fn line(event: &RunEvent, names: &[HostName]) -> Option<String> {
    let host =
        |id: &HostId| names.get(id.index()).map_or_else(|| format!("host {}", id.0), ToString::to_string);
    let line = match event {
        RunEvent::Rates { .. } | RunEvent::Recorded(_) => return None,
        RunEvent::Listening { addr, join_file, expected } => {
            format!(
                "listening on {addr}; join file {join_file}; waiting for {}",
                figures::count(*expected, "worker")
            )
        }
        RunEvent::Joined { name, have, expected } => format!("joined {name} ({have} of {expected})"),
        RunEvent::Opened { run, folder, planned_s, names } => {
            format!(
                "run {run} in {folder}: {}, {} planned",
                figures::count(names.len(), "host"),
                figures::seconds(Some(*planned_s))
            )
        }
        RunEvent::StageStarted { stage, number, of, at, length_s } => stamped(
            *at,
            "STAGE",
            &format!("{number} of {of}: {stage}, {}", figures::seconds(Some(*length_s))),
        ),
        RunEvent::Calibrated { capacity } => calibrated(capacity, &host),
        RunEvent::DropOff { host: id, direction, at, stage, offered } => {
            let direction = words::direction(*direction);
            let offered = figures::rate(Some(offered.bps()));
            stamped(*at, "DROP-OFF", &format!("{} {direction}  from {offered}, stage {stage}", host(id)))
        }
        RunEvent::DropOffOver { host: id, direction, at, for_s } => {
            let (direction, length) = (words::direction(*direction), figures::seconds(Some(*for_s)));
            stamped(*at, "over", &format!("{} {direction}  since then, for {length}", host(id)))
        }
        RunEvent::Suspected { at, hosts } => {
            let all: Vec<String> =
                hosts.iter().map(|(id, kinds)| format!("{} ({})", host(id), kinds.join(", "))).collect();
            stamped(*at, "SUSPECT", &format!("{}; tried once more", all.join("; ")))
        }
        RunEvent::CannotDo { host: id, at, stage, why } => {
            stamped(*at, "CANNOT", &format!("{} takes no part in stage {stage}: {why}", host(id)))
        }
        RunEvent::ContactLost { host: id, at, why } => {
            let why = if why.is_empty() { String::new() } else { format!(": {why}") };
            stamped(*at, "NO CONTACT", &format!("{}{why}", host(id)))
        }
        RunEvent::ContactBack { host: id, at } => stamped(*at, "contact", &format!("{} is back", host(id))),
        RunEvent::Note { text } => text.clone(),
        RunEvent::Over(summary) => words::headline(summary),
    };
    Some(escape::plain(&line))
}

/// `  12.3 s  WHAT        the rest`: times and words in columns.
fn stamped(at: RunTime, what: &str, rest: &str) -> String {
    format!("{:>8}  {what:<10}  {rest}", at.to_string())
}

fn calibrated(capacity: &[(HostId, BitRate, BitRate)], host: &impl Fn(&HostId) -> String) -> String {
    let rate = |rate: &BitRate| figures::rate(Some(rate.bps()));
    if capacity.len() <= CAPACITIES_SHOWN {
        let hosts: Vec<String> = capacity
            .iter()
            .map(|(id, tx, rx)| format!("{} {} out, {} in", host(id), rate(tx), rate(rx)))
            .collect();
        return format!("capacity as measured: {}", hosts.join("; "));
    }
    let range = |of: fn(&(HostId, BitRate, BitRate)) -> BitRate| {
        let (low, high) = (capacity.iter().map(of).min(), capacity.iter().map(of).max());
        format!("{} to {}", rate(&low.unwrap_or_default()), rate(&high.unwrap_or_default()))
    };
    format!(
        "capacity as measured, {} hosts: {} out, {} in",
        capacity.len(),
        range(|(_, tx, _)| *tx),
        range(|(_, _, rx)| *rx)
    )
}

/// The message beside a progress bar, for the rates of a [`RunEvent::Rates`]: the fleet's
/// goodput, and how many hosts carry nothing at this moment, which need not be a fault.
pub fn progress_line(rates: &[(HostId, BitRate, BitRate)]) -> String {
    // Every byte is counted once, where it arrives.
    let total = rates.iter().fold(0u64, |sum, (_, _, rx)| sum.saturating_add(rx.bps()));
    let silent =
        rates.iter().filter(|(_, tx, rx)| tx.bps() < SILENT_BELOW_BPS && rx.bps() < SILENT_BELOW_BPS).count();
    let goodput = figures::rate(Some(total));
    match silent {
        0 => goodput,
        n if n == rates.len() => "no traffic".to_owned(),
        n => format!("{goodput}, {n} of {} silent", figures::count(rates.len(), "host")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::judge::summary::Direction;
    use crate::report::fixture;

    fn names() -> Vec<HostName> {
        ["h1", "h2"].map(fixture::name).to_vec()
    }

    fn drop_off(host: u16, stage: &str) -> RunEvent {
        RunEvent::DropOff {
            host: HostId(host),
            direction: Direction::Both,
            at: RunTime(12_300_000),
            stage: stage.to_owned(),
            offered: BitRate::from_bps(56_100_000),
        }
    }

    #[test]
    fn a_drop_off_is_one_line_with_when_who_and_from_what() {
        assert_eq!(
            line(&drop_off(1, "storm"), &names()).as_deref(),
            Some("  12.3 s  DROP-OFF    h2 tx+rx  from 56.1 Mb/s, stage storm")
        );
        let unknown = line(&drop_off(7, "storm"), &names()).expect("a line");
        assert!(unknown.contains("host 7"), "a number without a name is still told: {unknown}");
    }

    #[test]
    fn hostile_words_of_a_worker_stay_on_one_line() {
        for text in fixture::HOSTILE {
            let events = [
                drop_off(0, text),
                RunEvent::ContactLost { host: HostId(0), at: RunTime(0), why: text.to_owned() },
                RunEvent::CannotDo {
                    host: HostId(0),
                    at: RunTime(0),
                    stage: text.to_owned(),
                    why: text.to_owned(),
                },
                RunEvent::Note { text: text.to_owned() },
            ];
            for event in events {
                let line = line(&event, &names()).expect("a line");
                assert!(!line.chars().any(escape::is_harmful), "{line:?}");
            }
        }
    }

    #[test]
    fn the_bar_tells_the_sum_of_what_arrived_and_who_is_silent() {
        let rate = BitRate::from_mbps;
        let busy = (HostId(0), rate(40), rate(50));
        let silent = (HostId(1), rate(0), rate(0));
        assert_eq!(progress_line(&[busy, busy]), "100.0 Mb/s");
        assert_eq!(progress_line(&[busy, silent]), "50.0 Mb/s, 1 of 2 hosts silent");
        assert_eq!(progress_line(&[silent, silent]), "no traffic");
        assert_eq!(
            line(&RunEvent::Rates { at: RunTime(0), rates: vec![busy] }, &names()),
            None,
            "rates only move the bar"
        );
    }
}
