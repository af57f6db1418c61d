//! What a fault does to the links, and when: texts for `nft`, `tc` and `ip`, and signals.
//!
//! Pure. All drops stand on the switch's port of the host, never in the host's own
//! namespace, where a sender would be told of them at once: there the ingress hook sees what
//! the host sends and the egress hook what it receives, and the host's own counters move as
//! a dying NIC's do.

use super::{Direction, Fault, FaultKind};
use crate::{
    lab::fleet::link::{port, shaper},
    model::fleet::units::BitRate,
};

/// One thing done to the fleet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    /// `nft -f -` in the switch.
    Nft(String),
    /// `tc -batch -` in the switch.
    TcSwitch(String),
    /// `tc -batch -` in the host's namespace.
    TcHost(String),
    /// `ip -batch -` in the switch.
    Ip(String),
    /// SIGSTOP to the host's worker.
    Stop,
    /// SIGCONT to the host's worker.
    Continue,
    /// SIGKILL to the host's worker.
    Kill,
    /// From now on, whenever the port's carrier changes, `nft -f -` this in the switch.
    OnCarrierChange(String),
    /// No longer.
    ForgetCarrier,
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
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Steps {
    /// In order of time.
    pub(crate) planned: Vec<Step>,
    /// Seconds after which the fault is over and `undo` is due; `None`: when it is taken back.
    pub(crate) over_s: Option<f64>,
    /// Done once, at the end.
    pub(crate) undo: Vec<Action>,
}

impl Fault {
    /// What this fault does as number `number` of a lab with NICs of `nic_rate`.
    pub(crate) fn steps(&self, number: u32, nic_rate: BitRate) -> Steps {
        let port = port(self.host);
        let table = table_name(number);
        let drop_table = Action::Nft(format!("delete table netdev {table}\n"));
        match &self.kind {
            FaultKind::DiesAbove { rate, burst_bytes, for_s } => {
                let over = format!("limit rate over {}", byte_limit(*rate, *burst_bytes));
                let text = tripping_table(&table, &port, &over, Some(*for_s));
                Steps::lasting(Action::Nft(text), None, drop_table)
            }
            FaultKind::DiesUntilBounce { rate, burst_bytes } => {
                let over = format!("limit rate over {}", byte_limit(*rate, *burst_bytes));
                let mut steps = Steps::lasting(
                    Action::Nft(tripping_table(&table, &port, &over, None)),
                    None,
                    Action::ForgetCarrier,
                );
                let revive = Action::OnCarrierChange(format!("flush set netdev {table} dead\n"));
                steps.planned.push(Step { at_s: 0.0, action: revive });
                steps.undo.push(drop_table);
                steps
            }
            FaultKind::DiesAfterBytes { bytes } => {
                let over = format!("quota over {bytes} bytes");
                Steps::lasting(Action::Nft(tripping_table(&table, &port, &over, None)), None, drop_table)
            }
            FaultKind::Dead { for_s } => {
                let text = dropping_table(&table, &port, Direction::Both, "drop");
                Steps::lasting(Action::Nft(text), *for_s, drop_table)
            }
            FaultKind::OneWayDead { direction, for_s } => {
                let text = dropping_table(&table, &port, *direction, "drop");
                Steps::lasting(Action::Nft(text), *for_s, drop_table)
            }
            FaultKind::Loss { direction, percent } => {
                // numgen counts to a million: a ten-thousandth of a percent.
                let share = (percent * 10_000.0).round() as u64;
                let rule = format!("numgen random mod 1000000 < {share} drop");
                Steps::lasting(
                    Action::Nft(dropping_table(&table, &port, *direction, &rule)),
                    None,
                    drop_table,
                )
            }
            FaultKind::CableOut { for_s } => Steps::lasting(link(&port, "down"), *for_s, link(&port, "up")),
            FaultKind::Flap { times, down_s, up_s } => flap(&port, *times, *down_s, *up_s),
            FaultKind::Slow { direction, to } => slow(&port, *direction, to.rate(nic_rate), nic_rate),
            FaultKind::Freeze { for_s } => Steps::lasting(Action::Stop, *for_s, Action::Continue),
            FaultKind::Kill => Steps {
                planned: vec![Step { at_s: 0.0, action: Action::Kill }],
                over_s: None,
                undo: Vec::new(),
            },
        }
    }
}

impl Steps {
    fn lasting(action: Action, over_s: Option<f64>, undo: Action) -> Self {
        Self { planned: vec![Step { at_s: 0.0, action }], over_s, undo: vec![undo] }
    }
}

/// The nft table of fault number `number`.
pub(crate) fn table_name(number: u32) -> String {
    format!("fault_{number}")
}

/// nft keeps a bucket of one second of the rate, and the burst beside it: a load of `actual`
/// trips it after (rate + burst) / (actual - rate) seconds.
fn byte_limit(rate: BitRate, burst_bytes: u64) -> String {
    let bytes_per_s = (rate.bps() / 8).max(1);
    let burst = if burst_bytes == 0 { String::new() } else { format!(" burst {burst_bytes} bytes") };
    format!("{bytes_per_s} bytes/second{burst}")
}

/// Drops everything while its flag is set, and sets the flag when either direction is
/// `over`: for `dead_s`, or until it is flushed. The flag is a set with the one key that
/// every packet has, a mark of zero.
fn tripping_table(table: &str, port: &str, over: &str, dead_s: Option<f64>) -> String {
    let (flags, timeout) = match dead_s {
        Some(dead_s) => ("dynamic,timeout", format!(" timeout {}ms", (dead_s * 1000.0).round() as u64)),
        None => ("dynamic", String::new()),
    };
    let rules = format!("    meta mark @dead drop\n    {over} add @dead {{ meta mark{timeout} }} drop\n");
    format!(
        "table netdev {table} {{\n  set dead {{\n    typeof meta mark; flags {flags}; size 4;\n  }}\n{}{}}}\n",
        chain("tx", "ingress", port, &rules),
        chain("rx", "egress", port, &rules)
    )
}

/// Applies `rule` to every packet of the directions.
fn dropping_table(table: &str, port: &str, direction: Direction, rule: &str) -> String {
    let rule = format!("    {rule}\n");
    let tx = if direction.has_tx() { chain("tx", "ingress", port, &rule) } else { String::new() };
    let rx = if direction.has_rx() { chain("rx", "egress", port, &rule) } else { String::new() };
    format!("table netdev {table} {{\n{tx}{rx}}}\n")
}

/// A newline stands before each closing brace: nft wants it.
fn chain(name: &str, hook: &str, port: &str, rules: &str) -> String {
    format!(
        "  chain {name} {{\n    type filter hook {hook} device {port} priority 0; policy accept;\n{rules}  }}\n"
    )
}

fn link(port: &str, state: &str) -> Action {
    Action::Ip(format!("link set {port} {state}\n"))
}

fn flap(port: &str, times: u32, down_s: f64, up_s: f64) -> Steps {
    let round = down_s + up_s;
    let steps = (0..times).flat_map(|time| {
        let at_s = f64::from(time) * round;
        [Step { at_s, action: link(port, "down") }, Step { at_s: at_s + down_s, action: link(port, "up") }]
    });
    Steps { planned: steps.collect(), over_s: Some(f64::from(times) * round), undo: vec![link(port, "up")] }
}

/// A slow NIC queues and does not drop: so it is its own shapers that change, the host's for
/// what it sends and the switch's for what it receives.
fn slow(port: &str, direction: Direction, rate: BitRate, nic_rate: BitRate) -> Steps {
    let change = |dev: &str, rate| format!("qdisc change dev {dev} root handle 1: {}\n", shaper(rate));
    let both = |rate| {
        let tx = direction.has_tx().then(|| Action::TcHost(change("eth0", rate)));
        let rx = direction.has_rx().then(|| Action::TcSwitch(change(port, rate)));
        tx.into_iter().chain(rx)
    };
    let steps = both(rate).map(|action| Step { at_s: 0.0, action }).collect();
    Steps { planned: steps, over_s: None, undo: both(nic_rate).collect() }
}
