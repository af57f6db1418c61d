//! How fast a flow's streams may go together.

use std::{cell::RefCell, rc::Rc, time::Duration};

use tokio::time::sleep;

use super::super::bucket::Bucket;
use crate::sys::clock;

/// Written in one call at most: what one look at the lease permits.
const CALL_BYTES: usize = 1024 * 1024;

/// The bucket of a flow, shared by its streams, which are all on one thread.
#[derive(Clone, Debug)]
pub(super) struct Pace(Option<Rc<RefCell<Bucket>>>);

impl Pace {
    pub(super) fn new(rate_bps: Option<u64>) -> Self {
        Self(rate_bps.map(|rate| Rc::new(RefCell::new(Bucket::new(rate, clock::now_us())))))
    }

    /// Waits until something may be written, and takes that much.
    pub(super) async fn take(&self) -> usize {
        let Some(bucket) = &self.0 else { return CALL_BYTES };
        loop {
            let now_us = clock::now_us();
            let wait_us = {
                let mut bucket = bucket.borrow_mut();
                let allowed = bucket.allowed(now_us);
                if allowed >= bucket.quantum() {
                    let taken = allowed.min(CALL_BYTES as u64);
                    bucket.take(taken);
                    return taken as usize;
                }
                bucket.ready_at_us().saturating_sub(now_us)
            };
            sleep(Duration::from_micros(wait_us.max(1))).await;
        }
    }
}
