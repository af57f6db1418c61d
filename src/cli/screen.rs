//! Draws a run's events on stderr, on a thread of its own.
//!
//! What an event reads like is the report's; here it is only decided where it goes. The
//! thread may be held up by a slow terminal: events are then dropped, the run never waits.

use std::{
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::{self, JoinHandle},
};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};

use super::{failure::Failure, output};
use crate::{
    model::{
        fleet::host::HostName,
        judge::pair::{Cut, Fold},
        run::event::RunEvent,
    },
    report::{live, pair},
};

/// Events that may wait to be drawn; at one `Rates` a second, minutes of a stuck terminal.
const WAITING_MAX: usize = 1024;

/// How a run is drawn.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Look {
    /// Not at all.
    Silent,
    /// A line for each thing that happens.
    Lines,
    /// The same above a bar that moves.
    Bar,
    /// Of a quick measurement: an interval's line on stdout, what goes wrong on stderr.
    Pair(Cut),
}

impl Look {
    /// A bar where somebody watches, lines where stderr is kept.
    pub(super) fn of(quiet: bool) -> Self {
        match (quiet, output::watched()) {
            (true, _) => Self::Silent,
            (false, true) => Self::Bar,
            (false, false) => Self::Lines,
        }
    }
}

/// The thread that draws.
pub(super) struct Screen {
    events: SyncSender<RunEvent>,
    thread: JoinHandle<()>,
}

impl Screen {
    /// Starts to draw.
    pub(super) fn start(look: Look) -> Result<Self, Failure> {
        let (events, waiting) = sync_channel(WAITING_MAX);
        let thread = thread::Builder::new()
            .name("screen".to_owned())
            .spawn(move || draw(look, &waiting))
            .context("cannot start the thread that draws")
            .map_err(Failure::failed)?;
        Ok(Self { events, thread })
    }

    /// Shows an event, or drops it where the terminal is far behind.
    pub(super) fn show(&self, event: RunEvent) {
        let _ = self.events.try_send(event);
    }

    /// Draws what is waiting, and leaves the terminal clean.
    pub(super) fn finish(self) {
        drop(self.events);
        // A panic over there has been printed; the verdict does not depend on it.
        let _ = self.thread.join();
    }
}

fn draw(look: Look, events: &Receiver<RunEvent>) {
    if let Look::Pair(cut) = look {
        return draw_pair(cut, events);
    }
    let bar = if look == Look::Bar { bar() } else { ProgressBar::hidden() };
    let mut names: Vec<HostName> = Vec::new();
    while let Ok(event) = events.recv() {
        match &event {
            RunEvent::Opened { names: all, planned_s, .. } => {
                names.clone_from(all);
                bar.set_length(planned_s.ceil() as u64);
            }
            RunEvent::Rates { at, rates } => {
                bar.set_position(at.as_secs_f64() as u64);
                bar.set_message(live::progress_line(rates));
            }
            _ => {}
        }
        let line = if look == Look::Silent { None } else { live::line(&event, &names) };
        if let Some(line) = line {
            // Nothing is drawn over a line that is being printed.
            bar.suspend(|| output::note(&line));
        }
    }
    bar.finish_and_clear();
}

/// Intervals as they are complete.
fn draw_pair(cut: Cut, events: &Receiver<RunEvent>) {
    let (mut fold, mut names, mut begun) = (Fold::new(cut), Vec::new(), false);
    while let Ok(event) = events.recv() {
        match &event {
            RunEvent::Recorded(line) => {
                fold.feed(line);
                show_ready(&mut fold, &mut begun, false);
            }
            RunEvent::Opened { names: all, .. } => names.clone_from(all),
            RunEvent::CannotDo { .. }
            | RunEvent::ContactLost { .. }
            | RunEvent::ContactBack { .. }
            | RunEvent::Note { .. } => {
                if let Some(line) = live::line(&event, &names) {
                    output::note(&line);
                }
            }
            _ => {}
        }
    }
    show_ready(&mut fold, &mut begun, true);
}

fn show_ready(fold: &mut Fold, begun: &mut bool, over: bool) {
    let ways = fold.ways();
    for (way, span) in fold.ready(over) {
        let heading = if std::mem::replace(begun, true) { String::new() } else { pair::heading() };
        let (from, to) = &ways[way];
        // A reader that went away is noticed with the last word.
        let _ = output::data(&format!("{heading}{}", pair::line(from, to, &span)));
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{pos:>4} of {len} s  {bar:24}  {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}
