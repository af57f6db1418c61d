//! Tells the watcher what happens, without ever waiting for it.

use tokio::sync::mpsc;

use crate::model::run::event::RunEvent;

/// The coordinator's end of the watcher's channel.
#[derive(Debug)]
pub(super) struct Teller {
    events: mpsc::Sender<RunEvent>,
    dropped: u64,
}

impl Teller {
    pub(super) fn new(events: mpsc::Sender<RunEvent>) -> Self {
        Self { events, dropped: 0 }
    }

    /// Tells one thing, or counts it as dropped where the watcher does not keep up. A watcher
    /// that is gone misses nothing.
    pub(super) fn tell(&mut self, event: RunEvent) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.events.try_send(event) {
            self.dropped += 1;
        }
    }

    pub(super) fn note(&mut self, text: String) {
        self.tell(RunEvent::Note { text });
    }

    /// How many events the watcher missed.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watcher_that_does_not_keep_up_loses_events_and_they_are_counted() {
        let (sender, _receiver) = mpsc::channel(1);
        let mut teller = Teller::new(sender);
        for _ in 0..3 {
            teller.note(String::new());
        }
        assert_eq!(teller.dropped(), 2);
    }
}
