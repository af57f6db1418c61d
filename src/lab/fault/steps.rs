//! What a fault does to the lab, and when: texts for `nft`, `tc` and `ip`, signals, helpers.
//!
//! Pure. All drops stand on the switch's port of the host, never in the host's own
//! namespace, where a sender would be told of them at once: there the ingress hook sees what
//! the host sends and the egress hook what it receives, and the host's own counters move as
//! a dying NIC's do.

use super::{Direction, Fault, place::Place};
use crate::{
    lab::{
        cable::Treatment,
        fleet::link::{data_mac, port, rack_bridge},
        spec::LabSpec,
    },
    model::fleet::units::BitRate,
};

pub(crate) mod packets;

/// Where a text for `tc` or `ip` is run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum At {
    /// In the switch.
    Switch,
    /// In a host's namespace.
    Host(u16),
    /// In that of every other host.
    Others(u16),
}

/// One thing done to the fleet.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    /// `nft -f -` in the switch.
    Nft(String),
    /// `tc -batch -`.
    Tc { at: At, text: String },
    /// `ip -batch -`.
    Ip { at: At, text: String },
    /// The host tells all others of its link which hardware address is its addresses'.
    Announce { host: u16 },
    /// Segmentation offloads of a host's interface on or off.
    Offloads { host: u16, on: bool },
    /// SIGSTOP to the host's worker.
    Stop { host: u16 },
    /// SIGCONT to the host's worker.
    Continue { host: u16 },
    /// SIGKILL to the host's worker.
    Kill { host: u16 },
    /// Something that the holder does all along, until the fault is over.
    Help(Helper),
    /// All that this fault's helpers do ends.
    EndHelp,
    /// From now on, whenever the port's carrier changes, `nft -f -` this in the switch.
    OnCarrierChange { port: String, text: String },
    /// No longer.
    ForgetCarrier,
}

/// What a thread of the holder does for a fault.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Helper {
    /// Takes packets from an end in the switch, treats them and sends them out again, marked
    /// where they pass the port that they were taken from.
    Cable { takes: String, sends: String, marks: bool, treatment: Treatment },
    /// Stops and continues the host's worker, so that it runs for this share of the time.
    Starve { host: u16, share: f64 },
    /// A program at the host's interface drops so many of a hundred packets that arrive.
    Xdp { host: u16, percent: f64 },
    /// Runs, so many times, and does nothing else.
    Hog { threads: u32 },
    /// Sends datagrams from one host to another.
    Background { from: u16, to: u16, rate: BitRate },
}

/// Which packets the switch hands to a cable.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Hand {
    /// The packets themselves: all, or so many of a hundred.
    Over(Option<f64>),
    /// A copy of so many of a hundred; the packets themselves pass.
    Copy(f64),
}

/// An action and its time, in seconds after the fault began.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    /// When.
    pub(crate) at_s: f64,
    /// What.
    pub(crate) action: Action,
}

/// The whole of a fault: what is done when, and what takes it back at any moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Steps {
    /// In order of time.
    pub(crate) planned: Vec<Step>,
    /// Seconds after which the fault is over and `undo` is due; `None`: when it is taken back.
    pub(crate) over_s: Option<f64>,
    /// Done once, at the end.
    pub(crate) undo: Vec<Action>,
}

impl Fault {
    /// What this fault does as number `number` of a lab of `spec`.
    pub(crate) fn steps(&self, number: u32, spec: &LabSpec) -> Steps {
        self.kind.group().steps(&Site { number, place: self.place, spec })
    }
}

impl Steps {
    pub(super) fn lasting(action: Action, over_s: Option<f64>, undo: Action) -> Self {
        Self { planned: vec![Step { at_s: 0.0, action }], over_s, undo: vec![undo] }
    }

    pub(super) fn helped(helper: Helper, over_s: Option<f64>) -> Self {
        Self::lasting(Action::Help(helper), over_s, Action::EndHelp)
    }
}

/// A fault's number, its place, and the lab that it is put in.
pub(crate) struct Site<'a> {
    pub(super) number: u32,
    pub(super) place: Place,
    pub(super) spec: &'a LabSpec,
}

/// Rules at the port, for what the host sends or for what it receives.
struct Chain {
    name: &'static str,
    /// nft's hook, and the end of a path that packets name there.
    hook: (&'static str, &'static str),
    priority: i32,
    rules: Vec<String>,
}

impl Chain {
    const fn sent(priority: i32, rules: Vec<String>) -> Self {
        Self { name: "tx", hook: ("ingress", "daddr"), priority, rules }
    }

    const fn received(name: &'static str, priority: i32, rules: Vec<String>) -> Self {
        Self { name, hook: ("egress", "saddr"), priority, rules }
    }
}

impl Site<'_> {
    /// The port of the switch at which the place is broken: what it sends comes in there.
    pub(super) fn port(&self) -> String {
        match self.place {
            Place::Host(host) | Place::Path(host, _) => port(host),
            // What the first rack sends comes in at the second one's end.
            Place::Uplink => "up2".to_owned(),
        }
    }

    /// The bridge that the port belongs to.
    fn bridge(&self) -> &'static str {
        match self.place {
            Place::Host(host) | Place::Path(host, _) => rack_bridge(self.spec.rack(host)),
            Place::Uplink => rack_bridge(2),
        }
    }

    /// nft's word for the lab's addresses.
    pub(super) const fn ip(&self) -> &'static str {
        if self.spec.ipv6 { "ip6" } else { "ip" }
    }

    /// The nft table of this fault.
    pub(super) fn table(&self) -> String {
        format!("fault_{}", self.number)
    }

    /// The same rules for every packet of some directions.
    pub(super) fn rules(&self, direction: Direction, rules: &[String], over_s: Option<f64>) -> Steps {
        self.directed("", direction, rules, rules, over_s)
    }

    /// Rules of their own for each direction, of which only those that are meant are used.
    pub(super) fn directed(
        &self,
        sets: &str,
        direction: Direction,
        tx: &[String],
        rx: &[String],
        over_s: Option<f64>,
    ) -> Steps {
        let meant = |has: bool, rules: &[String]| if has { rules.to_vec() } else { Vec::new() };
        self.table_with(sets, &meant(direction.has_tx(), tx), &meant(direction.has_rx(), rx), over_s)
    }

    /// A table with sets and the rules of both directions, taken away at the end.
    pub(super) fn table_with(&self, sets: &str, tx: &[String], rx: &[String], over_s: Option<f64>) -> Steps {
        self.table_of(sets, &[Chain::sent(0, tx.to_vec()), Chain::received("rx", 0, rx.to_vec())], over_s)
    }

    fn table_of(&self, sets: &str, chains: &[Chain], over_s: Option<f64>) -> Steps {
        let (table, chains) = (self.table(), chains.iter().map(|chain| self.chain(chain)));
        let text = format!("table netdev {table} {{\n{sets}{}}}\n", chains.collect::<Vec<_>>().concat());
        let undo = Action::Nft(format!("delete table netdev {table}\n"));
        Steps::lasting(Action::Nft(text), over_s, undo)
    }

    /// nft's text of a chain; none of one without rules.
    fn chain(&self, Chain { name, hook: (hook, side), priority, rules }: &Chain) -> String {
        if rules.is_empty() {
            return String::new();
        }
        // Between two hosts the far one is told by its hardware address.
        let guard = match self.place {
            Place::Path(_, other) => format!("ether {side} {} ", data_mac(other)),
            Place::Host(_) | Place::Uplink => String::new(),
        };
        let rules = rules.iter().map(|rule| format!("    {guard}{rule}\n")).collect::<Vec<_>>().concat();
        // A newline stands before each closing brace: nft wants it.
        format!(
            "  chain {name} {{\n    type filter hook {hook} device {} priority {priority}; policy accept;\n{rules}  }}\n",
            self.port()
        )
    }

    /// Packets of some directions, handed to cables of the holder and treated there.
    pub(super) fn cables(&self, direction: Direction, hand: Hand, treatment: Treatment) -> Steps {
        let n = self.number;
        let mut lines = Vec::new();
        let mut helpers = Vec::new();
        let mut ends = Vec::new();
        let mut chains = Vec::new();
        for (way, has) in [("t", direction.has_tx()), ("r", direction.has_rx())] {
            if !has {
                continue;
            }
            let (near, far) = (format!("x{n}{way}a"), format!("x{n}{way}b"));
            lines.push(format!("link add {near} mtu {0} type veth peer name {far} mtu {0}\n", self.spec.mtu));
            lines.push(format!("link set {near} master {} up\nlink set {far} up\n", self.bridge()));
            // The switch must neither learn hosts there nor send anything that way by itself.
            let quiet = "learning off flood off mcast_flood off bcast_flood off";
            lines.push(format!("link set dev {near} type bridge_slave {quiet}\n"));
            // What the host sent goes on into the switch; what it is to receive, out of its port.
            let sends = if way == "t" { far.clone() } else { self.port() };
            let marks = way == "r";
            helpers.push(Helper::Cable { takes: far, sends, marks, treatment });
            // A cable is the host's end of the wire: other faults of this port treat what the
            // host sends before it, and what the host receives after it.
            let rule = packets::handing(self.ip(), hand, &near);
            if marks {
                chains.push(Chain::received("rx", -10, vec![format!("{} {rule}", packets::fresh())]));
                chains.push(Chain::received("rx_again", -5, vec![packets::forget_cable()]));
            } else {
                chains.push(Chain::sent(10, vec![rule]));
            }
            ends.push(near);
        }
        let mut steps = self.table_of("", &chains, None);
        let links = Action::Ip { at: At::Switch, text: lines.concat() };
        let before = std::iter::once(links).chain(helpers.into_iter().map(Action::Help));
        steps.planned.splice(0..0, before.map(|action| Step { at_s: 0.0, action }));
        steps.undo.push(Action::EndHelp);
        let gone: Vec<String> = ends.iter().map(|end| format!("link del {end}\n")).collect();
        steps.undo.push(Action::Ip { at: At::Switch, text: gone.concat() });
        steps
    }
}
