//! What a fault does and what should be seen of it, for people.

use std::fmt::Write;

use super::{
    Fault, FaultKind,
    steps::{Action, Steps},
};
use crate::{lab::spec::host_name, model::fleet::units::BitRate};

/// Every fault with its keys, in the order of the help text. Keys in brackets may be left out.
const FAULTS: [(&str, &str); 11] = [
    (
        "dies_above@hN,rate=40M[,burst=1MB][,for=3s]",
        "silent both ways for a while once either direction is above the rate",
    ),
    ("dies_until_bounce@hN,rate=40M[,burst=1MB]", "the same, until the host's link is taken down and up"),
    ("dies_after_bytes@hN,bytes=50MB", "silent for good after so many bytes in either direction"),
    ("dead@hN[,for=5s]", "silent both ways, carrier up"),
    ("cable_out@hN[,for=5s]", "no carrier"),
    ("flap@hN[,times=3][,down=1s][,up=2.5s]", "carrier goes and comes; below 1 s the kernel merges flaps"),
    ("one_way_dead@hN,direction=tx|rx[,for=5s]", "sends but does not receive, or the reverse"),
    ("slow@hN,rate=20M|factor=0.5[,direction=tx|rx|both]", "carries less than its NIC's rate, and queues"),
    ("loss@hN,percent=0.5[,direction=tx|rx|both]", "loses single packets at random"),
    ("freeze@hN[,for=5s]", "the worker is stopped; the NIC is well"),
    ("kill@hN", "the worker is killed; the NIC is well"),
];

/// All faults that there are, a line each, with their keys.
pub fn list() -> String {
    let width = FAULTS.iter().map(|(syntax, _)| syntax.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (syntax, meaning) in FAULTS {
        line(&mut text, format_args!("{syntax:width$}  {meaning}"));
    }
    line(&mut text, format_args!("Every fault takes after=10s: it begins that long after the command."));
    text
}

impl Fault {
    /// The fault in words, the lines that make it on NICs of 60 Mb/s, and what should be seen.
    pub fn explain(&self) -> String {
        self.explain_on(super::super::spec::LabSpec::default().nic_rate)
    }

    /// As [`Fault::explain`], on NICs of `nic_rate`.
    pub fn explain_on(&self, nic_rate: BitRate) -> String {
        let Steps { planned, over_s, undo } = self.steps(1, nic_rate);
        let mut text = format!("{self}\n{}.\n", self.truth());
        for step in &planned {
            describe(&mut text, &format!("{} s", self.after_s + step.at_s), &step.action, self.host);
        }
        let end = over_s.map_or("when taken back".to_owned(), |s| format!("{} s", self.after_s + s));
        for action in &undo {
            describe(&mut text, &end, action, self.host);
        }
        line(&mut text, format_args!("Should be seen: {}.", self.kind.sight()));
        text
    }
}

impl FaultKind {
    /// What a healthy observer should find.
    const fn sight(&self) -> &'static str {
        match self {
            Self::DiesAbove { .. } => {
                "goodput of all flows of the host falls to 0 under load and returns; senders time out, the NIC's TX \
                 counter goes on, its RX counter stands still, carrier stays up; below the rate nothing at all"
            }
            Self::DiesUntilBounce { .. } => {
                "goodput falls to 0 under load and stays there until the link is set down and up on the host"
            }
            Self::DiesAfterBytes { .. } => {
                "goodput falls to 0 for good once the bytes are through, at any rate"
            }
            Self::Dead { .. } => "nothing to or from the host gets through, and its carrier is up",
            Self::CableOut { .. } => "nothing gets through, and the host's own carrier is down",
            Self::Flap { .. } => {
                "outages of about a second each, and the host's carrier_changes counts two for each"
            }
            Self::OneWayDead { .. } => {
                "no connection in either direction; on the dead direction's far end nothing arrives, on the other it does"
            }
            Self::Slow { .. } => {
                "the host carries less than its class in those directions, with longer round trips"
            }
            Self::Loss { .. } => {
                "retransmissions on exactly this host's flows at a paced load; goodput may hardly move"
            }
            Self::Freeze { .. } => {
                "senders limited by the receiver's window, zero-window notices, no retransmissions; pings answered"
            }
            Self::Kill => "connections reset at once, by a kernel that lives",
        }
    }
}

fn describe(text: &mut String, when: &str, action: &Action, host: u16) {
    let name = host_name(host);
    let (how, lines) = match action {
        Action::Nft(lines) => ("nft -f - in the switch".to_owned(), lines.as_str()),
        Action::TcSwitch(lines) => ("tc -batch - in the switch".to_owned(), lines.as_str()),
        Action::TcHost(lines) => (format!("tc -batch - in {name}"), lines.as_str()),
        Action::Ip(lines) => ("ip -batch - in the switch".to_owned(), lines.as_str()),
        Action::OnCarrierChange(lines) => {
            (format!("at each change of {name}'s carrier, nft -f - in the switch"), lines.as_str())
        }
        Action::ForgetCarrier => ("carrier changes mean nothing again".to_owned(), ""),
        Action::Stop => (format!("SIGSTOP to {name}'s worker"), ""),
        Action::Continue => (format!("SIGCONT to {name}'s worker"), ""),
        Action::Kill => (format!("SIGKILL to {name}'s worker"), ""),
    };
    line(text, format_args!("{when}: {how}"));
    for words in lines.lines() {
        line(text, format_args!("    {words}"));
    }
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    writeln!(text, "{words}").expect("writing to a String cannot fail");
}
