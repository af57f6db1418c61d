//! Does the steps of faults when they are due, and takes faults back.

use std::{
    collections::BTreeMap,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use rustix::process::Signal;

use super::{helpers::Helpers, workers::Workers};
use crate::{
    lab::{
        LabError,
        fault::{
            Fault,
            steps::{Action, Step, Steps},
        },
        fleet::Fleet,
        protocol::FaultState,
        spec::LabSpec,
        tool::Tool,
    },
    sys::carrier::{CarrierWatch, LinkNews, index_of},
};

/// More faults than this in one lab's life are a script gone wrong.
const FAULTS_MAX: usize = 256;

/// All faults of a lab.
#[derive(Debug)]
pub(super) struct FaultDriver {
    spec: LabSpec,
    helpers: Helpers,
    faults: Vec<Active>,
    /// By time, then in the order they were planned.
    schedule: BTreeMap<(Instant, u64), Due>,
    planned: u64,
    watch: Option<CarrierWatch>,
    ports: Vec<WatchedPort>,
}

#[derive(Debug)]
struct Active {
    fault: Fault,
    undo: Vec<Action>,
    born: Instant,
    state: FaultState,
}

#[derive(Debug)]
enum Due {
    Step { number: u32, action: Action },
    End { number: u32 },
}

/// A port whose carrier revives a fault.
#[derive(Debug)]
struct WatchedPort {
    number: u32,
    index: u32,
    running: bool,
    text: String,
}

impl FaultDriver {
    /// No faults, in a lab of `spec`.
    pub(super) fn new(spec: LabSpec) -> Self {
        Self {
            spec,
            helpers: Helpers::default(),
            faults: Vec::new(),
            schedule: BTreeMap::new(),
            planned: 0,
            watch: None,
            ports: Vec::new(),
        }
    }

    /// Begins `fault`, asked for `asked_at_s` after the lab stood, or plans it. Its number.
    pub(super) fn begin(
        &mut self,
        fault: &Fault,
        asked_at_s: f64,
        fleet: &Fleet,
        workers: &Workers,
    ) -> Result<u32, LabError> {
        if self.faults.len() >= FAULTS_MAX {
            return Err(LabError::Refused(format!(
                "this lab has had {FAULTS_MAX} faults, its limit; start a new one"
            )));
        }
        let number = self.faults.len() as u32 + 1;
        let Steps { planned, over_s, undo } = fault.steps(number, &self.spec);
        let begin = Instant::now() + Duration::from_secs_f64(fault.after_s);
        let mut later = planned.into_iter().peekable();
        if fault.after_s == 0.0 {
            // What begins at once is done at once, so that a refusal reaches whoever asked.
            while let Some(Step { action, .. }) = later.next_if(|step| step.at_s == 0.0) {
                if let Err(error) = self.act(number, &action, fleet, workers) {
                    self.helpers.end(number);
                    return Err(error);
                }
            }
        }
        for Step { at_s, action } in later {
            self.plan(begin + Duration::from_secs_f64(at_s), Due::Step { number, action });
        }
        if let Some(over_s) = over_s {
            self.plan(begin + Duration::from_secs_f64(over_s), Due::End { number });
        }
        let state =
            FaultState { number, text: fault.to_string(), asked_at_s, over_at_s: None, trouble: None };
        self.faults.push(Active { fault: fault.clone(), undo, born: Instant::now(), state });
        self.run_due(Instant::now(), fleet, workers);
        Ok(number)
    }

    /// Takes fault `number` back, with all its steps to come.
    pub(super) fn take_back(
        &mut self,
        number: u32,
        fleet: &Fleet,
        workers: &Workers,
    ) -> Result<(), LabError> {
        let Some(active) = (number as usize).checked_sub(1).and_then(|index| self.faults.get_mut(index))
        else {
            return Err(LabError::Refused(format!("this lab has no fault {number}")));
        };
        if active.state.over_at_s.is_some() {
            return Err(LabError::Refused(format!("fault {number} is over already")));
        }
        let waited = active.born.elapsed().as_secs_f64();
        active.state.over_at_s = Some(active.state.asked_at_s + waited);
        let undo = if waited >= active.fault.after_s { active.undo.clone() } else { Vec::new() };
        self.schedule.retain(|_, due| due.number() != number);
        undo.iter().try_for_each(|action| self.act(number, action, fleet, workers))
    }

    /// Does all that is due at `now`. A step that fails is noted with its fault.
    pub(super) fn run_due(&mut self, now: Instant, fleet: &Fleet, workers: &Workers) {
        while let Some(entry) = self.schedule.first_entry() {
            if entry.key().0 > now {
                return;
            }
            let due = entry.remove();
            let number = due.number();
            let done = match due {
                Due::Step { action, .. } => self.act(number, &action, fleet, workers),
                Due::End { .. } => self.take_back(number, fleet, workers),
            };
            if let Err(error) = done {
                self.faults[number as usize - 1].state.trouble = Some(error.whole());
            }
        }
    }

    /// When the next step is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.schedule.first_key_value().map(|((at, _), _)| *at)
    }

    /// The descriptor that tells of links, while a fault cares.
    pub(super) fn link_news(&self) -> Option<BorrowedFd<'_>> {
        self.watch.as_ref().filter(|_| !self.ports.is_empty()).map(AsFd::as_fd)
    }

    /// Reads the links' news and revives what a bounce revives.
    pub(super) fn links_changed(&mut self, fleet: &Fleet) {
        let Some(watch) = &self.watch else { return };
        // News that was lost may have been of any port: then all are revived.
        let news = watch.read().unwrap_or_else(|_| {
            self.ports.iter().map(|port| LinkNews { index: port.index, running: !port.running }).collect()
        });
        for LinkNews { index, running } in news {
            for port in self.ports.iter_mut().filter(|port| port.index == index && port.running != running) {
                port.running = running;
                if let Err(error) = Tool::Nft.run(&fleet.switch, &port.text) {
                    self.faults[port.number as usize - 1].state.trouble = Some(error.whole());
                }
            }
        }
    }

    /// Every fault in words, with what became of it.
    pub(super) fn truths(&self) -> Vec<String> {
        let truth = |active: &Active| {
            let trouble = active.state.trouble.as_ref().map(|text| format!(" (trouble: {text})"));
            format!("{}{}", active.fault.truth(), trouble.unwrap_or_default())
        };
        self.faults.iter().map(truth).collect()
    }

    /// Every fault as it can be typed, with its times.
    pub(super) fn states(&self) -> Vec<FaultState> {
        self.faults.iter().map(|active| active.state.clone()).collect()
    }

    fn plan(&mut self, at: Instant, due: Due) {
        self.planned += 1;
        self.schedule.insert((at, self.planned), due);
    }

    fn act(
        &mut self,
        number: u32,
        action: &Action,
        fleet: &Fleet,
        workers: &Workers,
    ) -> Result<(), LabError> {
        match action {
            Action::Nft(text) => Tool::Nft.run(&fleet.switch, text),
            Action::Tc { at, text } => fleet.at(*at)?.into_iter().try_for_each(|ns| Tool::Tc.run(ns, text)),
            Action::Ip { at, text } => fleet.at(*at)?.into_iter().try_for_each(|ns| Tool::Ip.run(ns, text)),
            Action::Announce { host } => fleet.announce(*host),
            Action::Offloads { host, on } => fleet.offloads(*host, *on),
            Action::Stop { host } => workers.signal(*host, Signal::STOP),
            Action::Continue { host } => workers.signal(*host, Signal::CONT),
            Action::Kill { host } => workers.signal(*host, Signal::KILL),
            Action::Help(helper) => self.helpers.begin(number, helper, fleet, workers),
            Action::EndHelp => {
                self.helpers.end(number);
                Ok(())
            }
            Action::OnCarrierChange { port, text } => self.watch_port(number, port, text),
            Action::ForgetCarrier => {
                self.ports.retain(|port| port.number != number);
                Ok(())
            }
        }
    }

    fn watch_port(&mut self, number: u32, port: &str, text: &str) -> Result<(), LabError> {
        let doing = || LabError::io(format!("watching the carrier of {port}"));
        if self.watch.is_none() {
            self.watch = Some(CarrierWatch::open().map_err(doing())?);
        }
        let index = index_of(port).map_err(doing())?;
        self.ports.push(WatchedPort { number, index, running: true, text: text.to_owned() });
        Ok(())
    }
}

impl Due {
    const fn number(&self) -> u32 {
        match self {
            Self::Step { number, .. } | Self::End { number } => *number,
        }
    }
}
