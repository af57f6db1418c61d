//! Cards that carry less than they say: from the beginning, or less and less.

use super::{FaultKind, Group, Row};
use crate::{
    lab::{
        fault::{
            Direction, FaultError,
            parse::{Values, exact, factor, length, rate},
            place::{Place, Places},
            steps::{Action, At, Site, Step, Steps},
        },
        fleet::link::shaper,
    },
    model::fleet::units::BitRate,
};

/// A slow NIC queues and does not drop: so it is its own shapers that change, the host's for
/// what it sends and the switch's for what it receives.
#[derive(Clone, Debug, PartialEq)]
pub enum Rates {
    /// Slower than it says.
    Slow {
        /// The slow directions.
        direction: Direction,
        /// How slow.
        to: SlowTo,
    },
    /// Slower and slower.
    Degrading {
        /// The slow directions.
        direction: Direction,
        /// How slow in the end.
        to: SlowTo,
        /// Seconds until then.
        over_s: f64,
    },
}

/// How slow a slow NIC is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SlowTo {
    /// So much and no more.
    Rate(BitRate),
    /// This share of the place's own rate, above 0 and below 1.
    Factor(f64),
}

impl SlowTo {
    fn rate(self, whole: BitRate) -> BitRate {
        match self {
            Self::Rate(rate) => rate,
            Self::Factor(factor) => whole.scaled(factor),
        }
    }

    fn read(values: &mut Values<'_>) -> Result<Self, FaultError> {
        match values.optional("factor", factor)? {
            Some(factor) => Ok(Self::Factor(factor)),
            None => values.needed("rate", "20M", rate).map(Self::Rate),
        }
    }

    fn key(self) -> String {
        match self {
            Self::Rate(rate) => format!("rate={}", exact(rate)),
            Self::Factor(factor) => format!("factor={factor}"),
        }
    }

    fn words(self) -> String {
        match self {
            Self::Rate(rate) => format!("only {rate}"),
            Self::Factor(factor) => format!("only {factor} of its rate"),
        }
    }
}

/// Steps in which a degrading card loses its rate: each is below what a detector would call a
/// drop-off by itself.
const DEGRADING_STEPS: u32 = 12;

pub(super) const ROWS: [Row; 2] = [
    (
        "slow@hN|uplink,rate=20M|factor=0.5[,direction=tx|rx|both]",
        "carries less than its NIC's rate, and queues",
    ),
    (
        "degrading@hN|uplink,rate=20M|factor=0.3[,over=20s][,direction=…]",
        "carries less and less, down to the rate",
    ),
];

pub(super) fn read(name: &str, values: &mut Values<'_>) -> Option<Result<FaultKind, FaultError>> {
    let kind = match name {
        "slow" => slow(values),
        "degrading" => degrading(values),
        _ => return None,
    };
    Some(kind.map(FaultKind::Rates))
}

fn slow(values: &mut Values<'_>) -> Result<Rates, FaultError> {
    Ok(Rates::Slow { direction: values.direction()?, to: SlowTo::read(values)? })
}

fn degrading(values: &mut Values<'_>) -> Result<Rates, FaultError> {
    Ok(Rates::Degrading {
        direction: values.direction()?,
        to: SlowTo::read(values)?,
        over_s: values.optional("over", length)?.unwrap_or(20.0),
    })
}

impl Group for Rates {
    fn name(&self) -> &'static str {
        match self {
            Self::Slow { .. } => "slow",
            Self::Degrading { .. } => "degrading",
        }
    }

    fn keys(&self) -> Vec<String> {
        match self {
            Self::Slow { direction, to } => vec![format!("direction={direction}"), to.key()],
            Self::Degrading { direction, to, over_s } => {
                vec![format!("direction={direction}"), to.key(), format!("over={over_s}s")]
            }
        }
    }

    fn places(&self) -> Places {
        Places::HostsAndUplink
    }

    fn does(&self) -> String {
        match self {
            Self::Slow { direction, to } => format!("carries {} in direction {direction}", to.words()),
            Self::Degrading { direction, to, over_s } => {
                format!("carries {} in direction {direction} after {over_s} s of decline", to.words())
            }
        }
    }

    fn sight(&self) -> &'static str {
        match self {
            Self::Slow { .. } => {
                "the host carries less than its class in those directions, with longer round trips"
            }
            Self::Degrading { .. } => {
                "within one stage the host carries less and less, and the others do not"
            }
        }
    }

    fn steps(&self, site: &Site<'_>) -> Steps {
        let whole = match site.place {
            Place::Uplink => site.spec.uplink_rate(),
            _ => site.spec.nic_rate,
        };
        match self {
            Self::Slow { direction, to } => Steps {
                planned: shapers(site, *direction, to.rate(whole), 0.0),
                over_s: None,
                undo: undo(site, *direction, whole),
            },
            Self::Degrading { direction, to, over_s } => {
                let last = to.rate(whole).bps() as f64 / whole.bps() as f64;
                let planned = (1..=DEGRADING_STEPS).flat_map(|step| {
                    let part = f64::from(step) / f64::from(DEGRADING_STEPS);
                    let rate = whole.scaled(1.0 - part * (1.0 - last));
                    shapers(site, *direction, rate, over_s * (part - 1.0 / f64::from(DEGRADING_STEPS)))
                });
                Steps { planned: planned.collect(), over_s: None, undo: undo(site, *direction, whole) }
            }
        }
    }
}

fn shapers(site: &Site<'_>, direction: Direction, rate: BitRate, at_s: f64) -> Vec<Step> {
    actions(site, direction, rate).map(|action| Step { at_s, action }).collect()
}

fn undo(site: &Site<'_>, direction: Direction, whole: BitRate) -> Vec<Action> {
    actions(site, direction, whole).collect()
}

fn actions(site: &Site<'_>, direction: Direction, rate: BitRate) -> impl Iterator<Item = Action> {
    let change = |at: At, dev: &str| Action::Tc {
        at,
        text: format!("qdisc change dev {dev} root handle 1: {}\n", shaper(rate)),
    };
    let (tx, rx) = match site.place {
        Place::Uplink => (change(At::Switch, "up1"), change(At::Switch, "up2")),
        place => (change(At::Host(place.first_host()), "eth0"), change(At::Switch, &site.port())),
    };
    direction.has_tx().then_some(tx).into_iter().chain(direction.has_rx().then_some(rx))
}
