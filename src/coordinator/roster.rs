//! Who is in: workers by name, their host numbers, their instances and present sessions.

use std::{cmp::Ordering, collections::BTreeMap};

use super::sessions::SessionHandle;
use crate::model::{
    fleet::host::{Host, HostId, HostName},
    record::line::{COORDINATOR, Joined},
    run::message::Hello,
};

/// One worker, as it is now.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) host: HostId,
    pub(super) hello: Hello,
    /// The number of its present instance; none before the run's zero.
    pub(super) instance: u16,
    pub(super) session: Option<SessionHandle>,
    /// The last line it says it sent, once it is done.
    pub(super) done: Option<u64>,
}

/// All workers of a run.
#[derive(Debug, Default)]
pub(super) struct Roster {
    members: BTreeMap<HostName, Member>,
    /// Names by host number, once numbered.
    numbered: Vec<HostName>,
    /// The host of each instance, by its number less one.
    instances: Vec<HostId>,
}

/// What a new session means for the record.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Seated {
    /// The instance that was known is back.
    Same,
    /// Another process, or another boot, of a known host.
    NewInstance,
}

impl Roster {
    /// Takes in a worker with its session; the one it may have had before is given back.
    pub(super) fn seat(&mut self, hello: Hello, session: SessionHandle) -> (Seated, Option<SessionHandle>) {
        let name = hello.name.clone();
        let Some(member) = self.members.get_mut(&name) else {
            let member =
                Member { host: HostId(0), hello, instance: COORDINATOR, session: Some(session), done: None };
            self.members.insert(name, member);
            return (Seated::NewInstance, None);
        };
        let same = member.hello.instance == hello.instance && member.hello.boot_id == hello.boot_id;
        let before = member.session.replace(session);
        member.done = None;
        member.hello = hello;
        (if same { Seated::Same } else { Seated::NewInstance }, before)
    }

    /// Takes a session that ended from its worker; `None` if it was no longer the present one.
    pub(super) fn unseat(&mut self, session: u64) -> Option<&Member> {
        let member = self.members.values_mut().find(|member| member.is_on(session))?;
        member.session = None;
        Some(member)
    }

    /// The worker whose present session this is.
    pub(super) fn on(&mut self, session: u64) -> Option<&mut Member> {
        self.members.values_mut().find(|member| member.is_on(session))
    }

    pub(super) fn get(&self, host: HostId) -> Option<&Member> {
        self.members.get(self.numbered.get(host.index())?)
    }

    pub(super) fn by_name(&self, name: &HostName) -> Option<&Member> {
        self.members.get(name)
    }

    pub(super) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// How many are connected.
    pub(super) fn present(&self) -> usize {
        self.members.values().filter(|member| member.session.is_some()).count()
    }

    /// Drops who is not connected, and numbers the rest in the order that people expect.
    pub(super) fn number(&mut self) {
        self.members.retain(|_, member| member.session.is_some());
        self.numbered = self.members.keys().cloned().collect();
        self.numbered.sort_by(|a, b| natural(a.as_str(), b.as_str()));
        for (id, name) in (0..).map(HostId).zip(&self.numbered) {
            if let Some(member) = self.members.get_mut(name) {
                member.host = id;
            }
        }
    }

    /// Names by host number.
    pub(super) fn names(&self) -> &[HostName] {
        &self.numbered
    }

    /// The hosts by number.
    pub(super) fn hosts(&self) -> Vec<Host> {
        self.numbered
            .iter()
            .filter_map(|name| self.members.get(name))
            .map(|member| member.hello.host(member.host))
            .collect()
    }

    /// Gives the present instance of `host` the next number; the line that says so.
    pub(super) fn enrol(&mut self, host: HostId) -> Option<Joined> {
        let member = self.members.get_mut(self.numbered.get(host.index())?)?;
        let instance = u16::try_from(self.instances.len() + 1).ok()?;
        self.instances.push(host);
        member.instance = instance;
        let hello = &member.hello;
        Some(Joined {
            instance,
            host,
            instance_id: hello.instance.clone(),
            boot_id: hello.boot_id.clone(),
            kernel: hello.kernel.clone(),
            cores: hello.cores,
            congestion_control: hello.congestion_control.clone(),
            control_in_band: hello.control_in_band,
        })
    }

    /// The host that an instance belongs to.
    pub(super) fn host_of(&self, instance: u16) -> Option<HostId> {
        self.instances.get(usize::from(instance).checked_sub(1)?).copied()
    }
}

impl Member {
    fn is_on(&self, session: u64) -> bool {
        self.session.as_ref().is_some_and(|present| present.id == session)
    }
}

/// Orders names as people do: runs of digits by their value, so that h2 comes before h10.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut rest_a, mut rest_b) = (a, b);
    while let (Some(part_a), Some(part_b)) = (part(rest_a), part(rest_b)) {
        let order = match (digits(part_a), digits(part_b)) {
            (Some(digits_a), Some(digits_b)) => {
                digits_a.len().cmp(&digits_b.len()).then_with(|| digits_a.cmp(digits_b))
            }
            _ => part_a.cmp(part_b),
        };
        if order.is_ne() {
            return order;
        }
        (rest_a, rest_b) = (&rest_a[part_a.len()..], &rest_b[part_b.len()..]);
    }
    // Names that differ only in leading zeros still need an order.
    rest_a.len().cmp(&rest_b.len()).then_with(|| a.cmp(b))
}

/// The first run of digits, or of anything else.
fn part(text: &str) -> Option<&str> {
    let numeric = text.chars().next()?.is_ascii_digit();
    let end = text.find(|c: char| c.is_ascii_digit() != numeric).unwrap_or(text.len());
    Some(&text[..end])
}

/// A run of digits without its leading zeros.
fn digits(part: &str) -> Option<&str> {
    part.starts_with(|c: char| c.is_ascii_digit()).then(|| part.trim_start_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_numbered_as_people_count() {
        let mut names = ["h10", "h2", "h1/eth1", "h1", "rack2-n1", "rack10-n1", "a"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["a", "h1", "h1/eth1", "h2", "h10", "rack2-n1", "rack10-n1"]);
    }

    #[test]
    fn different_names_never_order_as_equal() {
        assert_ne!(natural("h01", "h1"), Ordering::Equal);
        assert_eq!(natural("h01", "h1"), natural("h1", "h01").reverse());
    }
}
