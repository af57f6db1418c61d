//! What the course asks for, done.

use super::{Driver, EPOCH, Suspecting};
use crate::{
    coordinator::slices,
    model::{
        fleet::{host::HostId, units::RunTime},
        judge::confirm::{self, Suspects},
        plan::{self, confirm::Frame, layout::StageKind, schedule},
        record::line::Body,
        run::{
            course::{Action, Event, Order},
            event::RunEvent,
            message::{FromCoordinator, PLAN_FRAME_MAX_BYTES},
        },
    },
    wire::identity,
};

impl Driver {
    /// Steps the course and carries out what it asks for; answers it in the same way.
    pub(super) fn step(&mut self, event: Event) {
        let mut events = std::collections::VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let actions = self.course.step(event, self.clock.now());
            for action in actions {
                match action {
                    Action::Tell { host, order } => events.extend(self.tell(host, order)),
                    Action::Record(body) => self.write(body),
                    Action::Announce(event) => self.teller.tell(event),
                    Action::Calibrated => self.calibrated(),
                    Action::WorkOutRates { stage } => events.push_back(self.rates(stage)),
                    Action::Suspect => self.suspecting = Some(self.look_for_suspects()),
                    Action::Over(ending) => self.ending = Some(ending),
                }
            }
        }
    }

    /// Sends an order; where it cannot be sent, the event that says so.
    fn tell(&self, host: HostId, order: Order) -> Option<Event> {
        let session = self.roster.get(host)?.session.as_ref()?;
        let order = match order {
            Order::Start { stage, at } => FromCoordinator::Start { stage, at },
            Order::Stop { why } => FromCoordinator::Stop { why },
            Order::Finish => FromCoordinator::Finish,
            Order::Prepare { stage } => {
                let planned = self.course.stage(stage)?;
                let slice = slices::cut(planned, host, &self.addrs, self.course.rates(), |label| {
                    identity::derive(&self.secret, label)
                });
                let length = serde_json::to_vec(&slice).map_or(usize::MAX, |text| text.len());
                // Room for the message around the slice.
                if length + 64 > PLAN_FRAME_MAX_BYTES {
                    let why = format!(
                        "its slice of the stage has {length} bytes, more than the {PLAN_FRAME_MAX_BYTES} of a frame; \
                         use fewer rounds or repeats a stage"
                    );
                    return Some(Event::CannotDo { host, stage, why });
                }
                FromCoordinator::Prepare(Box::new(slice))
            }
        };
        session.tell(order);
        None
    }

    /// The rates of a stage's flows, or why it must not be run.
    fn rates(&self, stage: u16) -> Event {
        let busy = self.live.traffic_of_others();
        if !self.shared
            && let Some((host, seen)) = busy.first()
        {
            let (name, hosts) = (self.name(*host), busy.len());
            let rates = Err(format!(
                "{name} carries {seen} that is not this run's ({hosts} hosts in all), more than 5 % of its capacity; stop what uses its link, or run with --shared"
            ));
            return Event::Rates { stage, rates };
        }
        let calibrates = self.plan.stages.iter().any(|planned| planned.kind == StageKind::Calibrate);
        let rates = match self.course.stage(stage) {
            None => Ok(std::collections::BTreeMap::new()),
            Some(planned) if !calibrates => Ok(schedule::rates_as_written(planned)),
            Some(planned) => schedule::rates(planned, &self.live.capacities(), &self.live.frame_rates())
                .map_err(|faults| faults.to_string()),
        };
        Event::Rates { stage, rates }
    }

    /// Looks for suspects beside the loop: a large record takes longer than a lease.
    fn look_for_suspects(&self) -> Suspecting {
        let mut seen = self.live.seen().clone();
        tokio::task::spawn_blocking(move || {
            seen.settle();
            confirm::suspects(&seen)
        })
    }

    /// Who is suspected: into the record, to the watcher, and to the course as stages.
    pub(super) fn suspected(&mut self, found: Option<Suspects>) {
        self.suspecting = None;
        let Some(Suspects { mut seen, wishes }) = found else {
            self.teller.note("looking for suspects broke; nobody is tried again".to_owned());
            return self.step(Event::Confirm { stages: Vec::new() });
        };
        let rounds = self.plan.stages.iter().flat_map(|stage| &stage.rounds);
        let last_flow = rounds.flat_map(|round| &round.flows).map(|flow| flow.flow).max().unwrap_or(0);
        let hosts = self.roster.hosts();
        let frame = Frame {
            hosts: &hosts,
            cleared: &seen.cleared,
            index: self.plan.stages.len() as u16,
            first_flow: last_flow + 1,
            most_us: self.plan.confirm_us,
        };
        let probes = self.plan.stages.last().map_or(&[][..], |stage| &stage.probes);
        let trying = plan::confirm::lay_out(&wishes, frame, probes);
        seen.untried.extend(trying.untried);
        if !seen.hosts.is_empty() {
            let hosts = seen.hosts.iter().map(|(host, kinds)| (*host, kinds.clone())).collect();
            self.teller.tell(RunEvent::Suspected { at: self.clock.now(), hosts });
        }
        self.write(Body::Suspects(Box::new(seen)));
        self.step(Event::Confirm { stages: trying.stage.into_iter().collect() });
    }

    fn calibrated(&mut self) {
        let hosts = self.live.capacities();
        let capacity = hosts.iter().filter_map(|(host, (tx, rx))| Some((*host, (*tx)?, (*rx)?))).collect();
        self.teller.tell(RunEvent::Calibrated { capacity });
        let frames = self.live.frame_rates();
        self.write(Body::Capacity { hosts, frames });
    }

    /// Numbers the present instance of a host, and says so in the record.
    pub(super) fn enrol(&mut self, host: HostId) {
        if let Some(joined) = self.roster.enrol(host) {
            self.write(Body::Joined(Box::new(joined)));
        }
    }

    /// Tells a worker who it is in this run and where its lines go on.
    pub(super) fn welcome(&mut self, host: HostId, at: RunTime) {
        let lease = self.lease();
        if let Some(member) = self.roster.get(host)
            && let Some(session) = &member.session
        {
            session.tell(FromCoordinator::Welcome {
                host,
                instance: member.instance,
                epoch: EPOCH,
                run: self.run.clone(),
                acked_seq: self.acked.get(&member.instance).copied().unwrap_or_default(),
            });
            session.tell(lease);
        }
        // The change, if it is one, is told by whoever knows that this is a return.
        self.liveness.came(host, at);
    }
}
