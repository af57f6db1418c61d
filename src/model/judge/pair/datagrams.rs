//! What became of the datagrams of a quick measurement, as their receiver told.

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::record::carried::DatagramFlow;

/// Datagrams of a flow over some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Datagrams {
    /// That arrived, each once.
    pub received: u64,
    /// That were lost on the way: missing numbers without what the receiver's own kernel dropped.
    pub lost: u64,
    /// What part of all is that, 0 to 1; null where none was on its way.
    pub lost_share: Option<f64>,
    /// That the receiver's own kernel dropped for want of room: its limit, not the network's.
    pub socket_drops: u64,
    /// That came after a later one.
    pub reordered: u64,
    /// That came again.
    pub duplicates: u64,
    /// How much the way's delay varied (RFC 3550, 6.4.1), microseconds.
    pub jitter_us: u32,
}

impl Datagrams {
    /// Of these lines' sum.
    pub(super) fn of(told: DatagramFlow) -> Self {
        let missing = u64::try_from(told.missing).unwrap_or(0);
        let lost = missing.saturating_sub(told.socket_drops);
        let all = told.received + missing;
        Self {
            received: told.received,
            lost,
            lost_share: (all > 0).then(|| lost as f64 / all as f64),
            socket_drops: told.socket_drops,
            reordered: told.reordered,
            duplicates: told.duplicates,
            jitter_us: told.jitter_us,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_receiver_s_own_kernel_dropped_is_no_loss_of_the_way() {
        for (missing, socket_drops, lost, share) in [
            (0, 0, 0, Some(0.0)),
            (10, 0, 10, Some(0.1)),
            (10, 4, 6, Some(0.06)),
            (10, 20, 0, Some(0.0)),
            (-3, 0, 0, Some(0.0)),
        ] {
            let told = DatagramFlow { received: 90, missing, socket_drops, ..DatagramFlow::default() };
            let of = Datagrams::of(told);
            assert_eq!((of.lost, of.lost_share), (lost, share), "{missing} missing, {socket_drops} dropped");
        }
        assert_eq!(Datagrams::of(DatagramFlow::default()).lost_share, None);
    }
}
