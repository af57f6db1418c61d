//! What a fault does and what should be seen of it, for people.

use std::fmt::Write;

use super::{
    Fault,
    kinds::{name_of, rows},
    steps::{Action, At, Helper, Steps},
};
use crate::lab::spec::{LabSpec, host_name};

/// All faults that there are, a line each, with their keys.
pub fn list() -> String {
    let mut text = String::new();
    for (syntax, meaning) in rows() {
        line(&mut text, format_args!("{syntax}\n    {meaning}"));
    }
    line(
        &mut text,
        format_args!("hN is a host, hN-hM what these two exchange, uplink what crosses two racks."),
    );
    line(&mut text, format_args!("direction is tx, rx or both, as the host, hN or the first rack sees it."));
    line(&mut text, format_args!("Every fault takes after=10s: it begins that long after the command."));
    text
}

/// The text of the fault of this name with what it needs and nothing else, as its line of [`list`]
/// has it, on the first hosts of a lab.
pub fn example(name: &str) -> Option<String> {
    let (syntax, _) = rows().find(|(syntax, _)| name_of(syntax) == name)?;
    let needed = syntax.split('[').next().unwrap_or(syntax);
    let words = needed.split(',').map(|word| word.split('|').next().unwrap_or(word));
    Some(words.collect::<Vec<_>>().join(",").replace("hN", "h1").replace("hM", "h2"))
}

impl Fault {
    /// The fault in words, the lines that make it in the usual lab, and what should be seen.
    pub fn explain(&self) -> String {
        // The uplink is there in a lab of two racks only.
        let racks = if self.place.hosts().next().is_none() { 2 } else { 1 };
        self.explain_on(&LabSpec { racks, ..LabSpec::default() })
    }

    /// As [`Fault::explain`], in a lab of `spec`.
    pub fn explain_on(&self, spec: &LabSpec) -> String {
        let Steps { planned, over_s, undo } = self.steps(1, spec);
        let mut text = format!("{self}\n{}.\n", self.truth());
        for step in &planned {
            describe(&mut text, &format!("{} s", self.after_s + step.at_s), &step.action);
        }
        let end = over_s.map_or("when taken back".to_owned(), |s| format!("{} s", self.after_s + s));
        for action in &undo {
            describe(&mut text, &end, action);
        }
        line(&mut text, format_args!("Should be seen: {}.", self.kind.group().sight()));
        text
    }
}

fn describe(text: &mut String, when: &str, action: &Action) {
    let place = |at: &At| match at {
        At::Switch => "the switch".to_owned(),
        At::Host(host) => host_name(*host),
        At::Others(host) => format!("every host but {}", host_name(*host)),
    };
    let (how, lines) = match action {
        Action::Nft(lines) => ("nft -f - in the switch".to_owned(), lines.as_str()),
        Action::Tc { at, text } => (format!("tc -batch - in {}", place(at)), text.as_str()),
        Action::Ip { at, text } => (format!("ip -batch - in {}", place(at)), text.as_str()),
        Action::Announce { host } => (
            format!(
                "arp_notify and ndisc_notify are 1 in {}, and its link is told its own address",
                host_name(*host)
            ),
            "",
        ),
        Action::Offloads { host, on } => {
            let state = if *on { "on" } else { "off" };
            (format!("ethtool -K eth0 tso {state} gso {state} gro {state} in {}", host_name(*host)), "")
        }
        Action::OnCarrierChange { port, text } => {
            (format!("at each change of {port}'s carrier, nft -f - in the switch"), text.as_str())
        }
        Action::ForgetCarrier => ("carrier changes mean nothing again".to_owned(), ""),
        Action::Stop { host } => (format!("SIGSTOP to {}'s worker", host_name(*host)), ""),
        Action::Continue { host } => (format!("SIGCONT to {}'s worker", host_name(*host)), ""),
        Action::Kill { host } => (format!("SIGKILL to {}'s worker", host_name(*host)), ""),
        Action::Help(helper) => (help(helper), ""),
        Action::EndHelp => ("the holder's thread for it ends".to_owned(), ""),
    };
    line(text, format_args!("{when}: {how}"));
    for words in lines.lines() {
        line(text, format_args!("    {words}"));
    }
}

fn help(helper: &Helper) -> String {
    match helper {
        Helper::Cable { takes, sends, marks, treatment } => {
            let marked = if *marks { ", marked" } else { "" };
            format!("a thread takes packets from {takes}, {treatment}, and sends them to {sends}{marked}")
        }
        Helper::Starve { host, share } => format!(
            "of each 100 ms {}'s worker is stopped (SIGSTOP) for {:.0} ms",
            host_name(*host),
            (1.0 - share) * 100.0
        ),
        Helper::Xdp { host, percent } => {
            format!(
                "an XDP program of six instructions at eth0 of {} drops {percent} % of what arrives",
                host_name(*host)
            )
        }
        Helper::Hog { threads } => format!("{threads} threads run and do nothing else"),
        Helper::Background { from, to, rate } => {
            format!("a thread sends datagrams at {rate} from {} to {}", host_name(*from), host_name(*to))
        }
    }
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    writeln!(text, "{words}").expect("writing to a String cannot fail");
}
