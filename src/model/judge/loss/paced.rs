//! Paced flows whose losses can be told, and what each lost: counted once for whoever asks.

use super::of_flow;
use crate::model::judge::{
    falls::{self, Fall},
    ladder::Ends,
    outage::{self, held::Held},
    poisson::Share,
    rack::Crossings,
    seen::{FlowSeen, RoundSeen, Seen},
};
use crate::model::plan::layout::StageKind;

/// What a paced flow lost.
#[derive(Clone, Copy)]
pub(super) struct Lost<'a> {
    pub flow: &'a FlowSeen,
    pub round: &'a RoundSeen,
    pub share: Share,
}

/// All of them, by what tells of them.
pub struct Paced<'a> {
    /// The numbers of single frames.
    numbered: Vec<Lost<'a>>,
    /// TCP's retransmissions.
    tcp: Vec<Lost<'a>>,
}

impl<'a> Paced<'a> {
    /// Of a record, without what crosses where there is no room for everybody.
    pub fn of(seen: &'a Seen, falls: &[Fall], crossings: &Crossings) -> Self {
        let of = |numbered| lost(seen, falls, crossings, numbered);
        let (numbered, tcp) = rayon::join(|| of(true), || of(false));
        Self { numbered, tcp }
    }

    /// Those that numbered frames tell of, or retransmissions.
    pub(super) fn told_by(&self, numbered: bool) -> &[Lost<'a>] {
        if numbered { &self.numbered } else { &self.tcp }
    }

    /// Both.
    pub(super) fn all(&self) -> impl Iterator<Item = &Lost<'a>> {
        self.numbered.iter().chain(&self.tcp)
    }
}

/// While an end stands still its queues overflow: what is lost then is told as that.
fn lost<'a>(seen: &'a Seen, falls: &[Fall], crossings: &Crossings, numbered: bool) -> Vec<Lost<'a>> {
    let (mut held, ends) = (Held::of(seen, false), Ends::of(seen));
    falls::undisturbed(seen, falls, StageKind::Load)
        .filter(|(id, _, round)| {
            round.is_paced() && round.frame_bytes().is_some() == numbered && !crossings.is_crowded(*id)
        })
        .filter(|(_, flow, round)| !seen.is_overfull(round, flow) && !ends.lie_below(round, flow))
        .filter_map(|(id, flow, round)| Some(Lost { flow, round, share: of_flow(seen, id, flow, round)? }))
        .filter(|lost| {
            let ticks = lost.round.start / outage::SLOTS..lost.round.end.div_ceil(outage::SLOTS);
            !held.an_end_of(lost.flow, &ticks)
        })
        .collect()
}
