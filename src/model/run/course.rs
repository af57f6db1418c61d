//! The course of a run: stage after stage, each prepared, started together and waited for,
//! then the collecting of what was measured.
//!
//! ```text
//!   Next ──► Rating ──► Preparing ──────────► Running ──► Next … Suspecting ──► Collecting ──► Over
//!              │ rates cannot be had │ stop, all left, too long  │       │          ▲
//!              └─────────────────────┴───────────────────────────┴───────┼──────────┘
//!                                                     suspects: Next ◄───┘
//! ```
//!
//! Sans I/O: the driver calls [`Course::step`] with what happened and when, and carries out
//! the [`Action`]s it gets back, in order. It ticks the course no later than
//! [`Course::deadline`]. Who is in contact is `liveness`'s; what a worker's slice of a stage
//! holds, and how it travels, is the coordinator's.

mod phase;
mod step;
mod timing;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use phase::{Phase, Standing};
pub use step::{Action, Ending, Event, Order};
pub use timing::{
    COLLECT_MAX, DRAIN, DRAIN_CALIBRATE, DRAIN_CONFIRM, DRAIN_SUSPECTS, LOST_MAX, OVERTIME, READY_MAX,
    RETURNED_MIN, START_LEAD,
};

use super::event::RunEvent;
use crate::model::{
    fleet::{
        host::HostId,
        units::{BitRate, RunTime, SLOT_US},
    },
    plan::layout::{FlowId, Plan, PlannedStage, StageKind},
    record::line::{Body, Ended, StageBegun},
};

/// The state of a run's course.
#[derive(Clone, Debug)]
pub struct Course {
    stages: Vec<PlannedStage>,
    members: BTreeMap<HostId, Standing>,
    phase: Phase,
    rates: BTreeMap<FlowId, BitRate>,
    /// How long confirming suspects may take, until they were asked for.
    confirm: Option<Duration>,
    stages_by: RunTime,
    over_by: RunTime,
    actions: Vec<Action>,
}

impl Course {
    /// A run of `plan` with these hosts, all of them in contact, that begins at `at`.
    pub fn new(plan: &Plan, hosts: impl IntoIterator<Item = HostId>, at: RunTime) -> Self {
        let connected = Standing { connected: true, ..Standing::default() };
        let stages_by = at + plan.stages_max();
        Self {
            stages: plan.stages.clone(),
            members: hosts.into_iter().map(|host| (host, connected.clone())).collect(),
            phase: Phase::Next(0),
            rates: BTreeMap::new(),
            confirm: Some(plan.confirm_max()).filter(|length| !length.is_zero()),
            stages_by,
            over_by: stages_by + OVERTIME,
            actions: Vec::new(),
        }
    }

    /// A stage, by its place: of the plan, or one that tries suspects.
    pub fn stage(&self, index: u16) -> Option<&PlannedStage> {
        self.stages.get(usize::from(index))
    }

    /// The rates of the present stage's paced flows.
    pub fn rates(&self) -> &BTreeMap<FlowId, BitRate> {
        &self.rates
    }

    /// By when the run is over, whatever happens; later once suspects are to be confirmed.
    pub const fn over_by(&self) -> RunTime {
        self.over_by
    }

    /// When the course must be ticked at the latest; `None` once it is over.
    pub fn deadline(&self) -> Option<RunTime> {
        match &self.phase {
            Phase::Next(_) => Some(RunTime::default()),
            Phase::Rating(_) | Phase::Suspecting { asked: true, .. } => Some(self.stages_by),
            Phase::Suspecting { ask_at, asked: false, .. } => Some((*ask_at).min(self.stages_by)),
            Phase::Preparing { until, .. } | Phase::Running { until, .. } => {
                Some((*until).min(self.stages_by))
            }
            Phase::Collecting { until, lost_until, .. } => {
                Some(if self.awaits(true) { *until } else { (*until).min(*lost_until) }.min(self.over_by))
            }
            Phase::Over => None,
        }
    }

    /// One word on where the run stands, for `status`.
    pub fn standing(&self) -> String {
        let name = |stage: u16| self.stages.get(usize::from(stage)).map_or("?", |stage| stage.name.as_str());
        match &self.phase {
            Phase::Next(stage) | Phase::Rating(stage) | Phase::Preparing { stage, .. } => {
                format!("preparing {}", name(*stage))
            }
            Phase::Running { stage, .. } => format!("running {}", name(*stage)),
            Phase::Suspecting { .. } => "looking for suspects".to_owned(),
            Phase::Collecting { .. } => "collecting".to_owned(),
            Phase::Over => "over".to_owned(),
        }
    }

    /// Takes one event, and returns what the driver must now do, in order.
    ///
    /// Events after the end are late messages and change nothing.
    pub fn step(&mut self, event: Event, at: RunTime) -> Vec<Action> {
        if matches!(self.phase, Phase::Over) {
            return Vec::new();
        }
        match event {
            Event::Tick => {}
            Event::Rates { stage, rates } => self.take_rates(stage, rates, at),
            Event::Confirm { stages } => self.take_confirm(stages),
            Event::Ready { host, stage } => self.with(host, |member| member.ready = Some(stage)),
            Event::CannotDo { host, stage, why } => {
                self.with(host, |member| member.unfit = Some((stage, why)));
            }
            Event::Lost { host } => self.with(host, |member| member.connected = false),
            Event::Back { host, fresh } => self.take_back(host, fresh, at),
            Event::Left { host, why } => self.take_left(host, why),
            Event::Collected { host } => self.with(host, |member| member.collected = true),
            Event::StopAsked { why } => self.collect(Ended::Interrupted, why, false, at),
            Event::Failed { why } => {
                self.collect(Ended::Aborted, why, false, at);
                self.end();
            }
        }
        self.advance(at);
        std::mem::take(&mut self.actions)
    }

    /// Moves on as far as the present moment allows.
    fn advance(&mut self, at: RunTime) {
        loop {
            match &self.phase {
                Phase::Next(stage) if self.kind(*stage).is_none() => match self.confirm.take() {
                    Some(longest) => {
                        self.phase = Phase::Suspecting { ask_at: at + DRAIN_SUSPECTS, asked: false, longest };
                    }
                    None => self.collect(Ended::Complete, String::new(), false, at),
                },
                phase if phase.is_under_way() && self.members.values().all(|member| member.left) => {
                    self.collect(Ended::Aborted, "every worker has left".to_owned(), false, at);
                }
                phase if phase.is_under_way() && at >= self.stages_by => {
                    let why = format!("the stages were not through by {}, the plan's end", self.stages_by);
                    self.collect(Ended::Aborted, why, false, at);
                }
                Phase::Next(stage) => self.next(*stage, at),
                Phase::Preparing { stage, until } => {
                    if at < *until && self.is_awaited(*stage) {
                        return;
                    }
                    self.start(*stage, at);
                }
                Phase::Running { stage, until, .. } => {
                    if at < *until {
                        return;
                    }
                    let stage = *stage;
                    if self.kind(stage) == Some(StageKind::Calibrate) {
                        self.actions.push(Action::Calibrated);
                    }
                    self.phase = Phase::Next(stage + 1);
                }
                Phase::Collecting { until, lost_until, .. } => {
                    let waits = self.awaits(true) || (at < *lost_until && self.awaits(false));
                    if waits && at < *until && at < self.over_by {
                        return;
                    }
                    self.end();
                }
                Phase::Suspecting { ask_at, asked, longest } => {
                    if *asked || at < *ask_at {
                        return;
                    }
                    self.phase = Phase::Suspecting { ask_at: at, asked: true, longest: *longest };
                    self.actions.push(Action::Suspect);
                }
                Phase::Rating(_) | Phase::Over => return,
            }
        }
    }

    fn next(&mut self, stage: u16, at: RunTime) {
        self.rates.clear();
        match self.kind(stage) {
            Some(StageKind::Load | StageKind::Confirm) => {
                self.phase = Phase::Rating(stage);
                self.actions.push(Action::WorkOutRates { stage });
            }
            Some(StageKind::Reach | StageKind::Calibrate) | None => self.prepare(stage, at),
        }
    }

    fn prepare(&mut self, stage: u16, at: RunTime) {
        self.phase = Phase::Preparing { stage, until: at + READY_MAX };
        self.catch_up_all();
    }

    /// Starts a stage with all who are in contact and able.
    fn start(&mut self, stage: u16, at: RunTime) {
        let Some(planned) = self.stages.get(usize::from(stage)).cloned() else { return };
        let zero = RunTime((at + START_LEAD).0.next_multiple_of(SLOT_US));
        let drain = match planned.kind {
            StageKind::Calibrate => DRAIN_CALIBRATE,
            StageKind::Confirm => DRAIN_CONFIRM,
            StageKind::Reach | StageKind::Load => DRAIN,
        };
        let length = planned.length();
        self.note_not_ready(stage, &planned.name, at);
        self.phase = Phase::Running { stage, zero, until: zero + length + drain };
        self.catch_up_all();
        self.actions.push(Action::Announce(RunEvent::StageStarted {
            stage: planned.name.clone(),
            number: usize::from(stage) + 1,
            of: self.stages.len(),
            at: zero,
            length_s: length.as_secs_f64(),
        }));
        let begun = StageBegun { stage: planned, at: zero, rates: self.rates.clone() };
        self.actions.push(Action::Record(Body::Stage(Box::new(begun))));
    }

    fn note_not_ready(&mut self, stage: u16, name: &str, at: RunTime) {
        let behind = |member: &Standing| !member.left && member.ready != Some(stage);
        let hosts: Vec<HostId> =
            self.members.iter().filter(|(_, member)| behind(member)).map(|(host, _)| *host).collect();
        if hosts.is_empty() {
            return;
        }
        let said = |host: &HostId| {
            let (_, why) = self.members.get(host)?.unfit.as_ref().filter(|(unfit, _)| *unfit == stage)?;
            Some((*host, why.clone()))
        };
        let why: BTreeMap<HostId, String> = hosts.iter().filter_map(said).collect();
        for (host, why) in &why {
            let (stage, why) = (name.to_owned(), why.clone());
            self.actions.push(Action::Announce(RunEvent::CannotDo { host: *host, at, stage, why }));
        }
        self.actions.push(Action::Record(Body::NotReady { stage, hosts, why }));
    }

    /// Turns to the end: all stop if the run is cut short, and hand over what they have.
    ///
    /// The first reason stands; a stop during the collecting of a whole run waits no longer
    /// for those who are lost.
    fn collect(&mut self, ended: Ended, why: String, usage: bool, at: RunTime) {
        match &mut self.phase {
            Phase::Over => {}
            Phase::Collecting { lost_until, .. } => *lost_until = at,
            _ => {
                let until = (at + COLLECT_MAX).min(self.over_by);
                let lost_until = if ended == Ended::Complete { at + LOST_MAX } else { at };
                let ending = Ending { ended, why, usage };
                self.phase = Phase::Collecting { ending, until, lost_until };
                self.catch_up_all();
            }
        }
    }

    fn end(&mut self) {
        if let Phase::Collecting { ending, .. } = std::mem::replace(&mut self.phase, Phase::Over) {
            self.actions.push(Action::Over(ending));
        }
    }

    fn take_rates(&mut self, stage: u16, rates: Result<BTreeMap<FlowId, BitRate>, String>, at: RunTime) {
        if !matches!(self.phase, Phase::Rating(rated) if rated == stage) {
            return;
        }
        match rates {
            Ok(rates) => {
                self.rates = rates;
                self.prepare(stage, at);
            }
            Err(why) => self.collect(Ended::Aborted, why, true, at),
        }
    }

    /// Stages that try suspects once more; none, where nobody is suspected.
    fn take_confirm(&mut self, stages: Vec<PlannedStage>) {
        if let Phase::Suspecting { asked: true, longest, .. } = self.phase {
            let next = self.stages.len() as u16;
            // Only now: workers whose coordinator is gone go home by what they were told last.
            if !stages.is_empty() {
                self.stages_by = self.stages_by + longest;
                self.over_by = self.over_by + longest;
            }
            self.stages.extend(stages);
            self.phase = Phase::Next(next);
        }
    }

    fn take_back(&mut self, host: HostId, fresh: bool, at: RunTime) {
        let Some(member) = self.members.get_mut(&host) else { return };
        if fresh {
            *member = Standing::default();
        }
        member.connected = true;
        if let Phase::Collecting { until, .. } = &mut self.phase {
            *until = (*until).max(at + RETURNED_MIN).min(self.over_by);
        }
        self.catch_up(host);
    }

    fn take_left(&mut self, host: HostId, why: String) {
        let Some(member) = self.members.get_mut(&host) else { return };
        if !std::mem::replace(&mut member.left, true) {
            self.actions.push(Action::Record(Body::Left { host, why }));
        }
    }

    fn with(&mut self, host: HostId, change: impl FnOnce(&mut Standing)) {
        if let Some(member) = self.members.get_mut(&host) {
            change(member);
        }
    }

    fn catch_up_all(&mut self) {
        let hosts: BTreeSet<HostId> = self.members.keys().copied().collect();
        for host in hosts {
            self.catch_up(host);
        }
    }

    /// Tells a worker in contact whatever the present phase asks of it and it was not told.
    fn catch_up(&mut self, host: HostId) {
        let Some(member) = self.members.get_mut(&host) else { return };
        if !member.connected || member.left {
            return;
        }
        let mut tell = |order| self.actions.push(Action::Tell { host, order });
        match &self.phase {
            Phase::Next(_) | Phase::Rating(_) | Phase::Suspecting { .. } | Phase::Over => {}
            Phase::Preparing { stage, .. } | Phase::Running { stage, .. } => {
                let stage = *stage;
                if member.told_prepare != Some(stage) {
                    member.told_prepare = Some(stage);
                    tell(Order::Prepare { stage });
                }
                if let Phase::Running { zero, .. } = self.phase
                    && member.told_start != Some(stage)
                    && !member.is_unfit(stage)
                {
                    member.told_start = Some(stage);
                    tell(Order::Start { stage, at: zero });
                }
            }
            Phase::Collecting { ending, .. } => {
                if ending.ended != Ended::Complete && !std::mem::replace(&mut member.told_stop, true) {
                    tell(Order::Stop { why: ending.why.clone() });
                }
                if !std::mem::replace(&mut member.told_finish, true) {
                    tell(Order::Finish);
                }
            }
        }
    }

    fn kind(&self, stage: u16) -> Option<StageKind> {
        self.stages.get(usize::from(stage)).map(|stage| stage.kind)
    }

    /// Whether a worker's word on a stage is missing. Where nobody is in contact, everybody's
    /// is: a stage without a fleet helps nobody, and some may be back in time.
    fn is_awaited(&self, stage: u16) -> bool {
        let mut present = self.members.values().filter(|member| member.connected && !member.left).peekable();
        present.peek().is_none() || present.any(|member| !member.has_answered(stage))
    }

    /// Whether lines of a worker that is, or is not, in contact are missing.
    fn awaits(&self, connected: bool) -> bool {
        self.members.values().any(|member| member.connected == connected && !member.left && !member.collected)
    }
}

#[cfg(test)]
mod tests;
