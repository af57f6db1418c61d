//! Falls of hosts whose worker was not allowed to send.
//!
//! A worker sends by its coordinator's lease: without one for [`LEASE_TTL`] it stops sending,
//! and goes on receiving, counting and answering. From outside that looks as if bulk data no
//! longer passed through its card.
//!
//! # Rule
//!
//! A fall is the lease's where its first low slot lies in a window without one. The worker tells
//! these windows as soon as it has a lease again; where it never does, they follow from a control
//! connection that was lost while the host went on sending. A card that fell silent before is none of
//! these.

use std::ops::Range;

use super::super::{
    falls::Fall,
    outage,
    seen::{Seen, Way},
    summary::{Finding, FindingKind, Severity},
};
use crate::model::{
    fleet::{
        host::HostId,
        units::{RunTime, SLOT_US, SLOTS_PER_S},
    },
    record::line::{Contact, ContactState},
    run::liveness::{LEASE_EACH, LEASE_TTL, SILENCE_MAX},
};

/// For so long after its control connection was told as lost a host must have gone on sending: what
/// was on its way when its card died is through sooner.
const WENT_ON_SLOTS: u64 = 2 * SLOTS_PER_S;

/// Share of these slots in which something of it came.
const WENT_ON_SHARE: f64 = 0.5;

/// Whether a fall is that of a host without a lease.
pub fn claim(seen: &Seen, fall: &Fall) -> Option<FindingKind> {
    if !Way::of_direction(fall.direction).contains(&Way::Tx) {
        return None;
    }
    let began = fall.since * SLOT_US;
    let began_without = |window: &Range<u64>| window.start <= began + SLOT_US && began < window.end;
    windows(seen, fall.host).iter().any(began_without).then_some(FindingKind::ControlLost)
}

/// When a host had no lease, in microseconds of the run.
fn windows(seen: &Seen, host: HostId) -> Vec<Range<u64>> {
    let told = seen.lapsed.iter().filter(|(who, ..)| *who == host).map(|(_, from, to)| from.0..to.0);
    told.chain(inferred(seen, host)).collect()
}

/// The same by what is known of its control connection: the last lease came no later than the last
/// sign of life, and no sooner than one renewal before.
fn inferred(seen: &Seen, host: HostId) -> Vec<Range<u64>> {
    let own: Vec<_> = seen.contacts.iter().filter(|(_, contact)| contact.host == host).collect();
    let lost = own.iter().enumerate().filter(|(_, (_, contact))| contact.state == ContactState::Lost);
    let window = |(place, (at, _)): (usize, &&(RunTime, Contact))| {
        let lasted = LEASE_TTL.saturating_sub(SILENCE_MAX + LEASE_EACH).as_micros() as u64;
        let back = own[place + 1..].iter().find(|(_, contact)| contact.state == ContactState::Back);
        let until = back.map_or(u64::MAX, |(back, _)| back.0);
        went_on_sending(seen, host, at.slot()).then_some(at.0 + lasted..until.max(at.0 + lasted))
    };
    lost.filter_map(window).collect()
}

/// Whether something of a host came in the seconds after a slot.
fn went_on_sending(seen: &Seen, host: HostId, slot: u64) -> bool {
    let known = outage::known_in(seen, host, Way::Tx, slot..slot + WENT_ON_SLOTS);
    let sent = known.iter().filter(|bps| **bps > 0.0).count();
    sent > 0 && sent as f64 >= WENT_ON_SHARE * known.len() as f64
}

/// The finding on a host that sent nothing for want of a lease.
pub fn finding(seen: &Seen, host: HostId, falls: &[&Fall]) -> Finding {
    let text = format!(
        "{} sent nothing {}: its worker had lost its coordinator for longer than {} s, and sends nothing without it; look at the way between the two, then run again",
        seen.name(host),
        super::times(falls),
        LEASE_TTL.as_secs(),
    );
    super::bare(FindingKind::ControlLost, Severity::Warn, falls, text)
}
