//! What may be the matter with everything that crosses from one rack to another.
//!
//! # What does not belong here
//!
//! Uplinks that are cut (`cut`) or carry too little (`narrow`). Whether it is so: the detectors'.

/// A symptom that all pairs on a crossing share; the gravest first, and the cause before what follows from it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Symptom {
    /// Payload or packets differ from what was sent.
    Damage,
    /// Frames from some size on never pass.
    LargeFrames,
    /// New connections do not come to be.
    NewFlows,
    /// Hardly anything of bulk data gets through.
    Stuck,
    /// Packets are lost at half load.
    Loss,
    /// Packets come twice.
    Twice,
    /// Everything waits for moments.
    Stalls,
    /// Packets overtake each other.
    Overtaking,
    /// Echoes come back late, whether anybody sends or not.
    Late,
    /// Echoes come back late at half load.
    LateUnderLoad,
}

impl Symptom {
    /// What pairs do, and what the way between the racks does.
    pub const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Damage => ("receive what differs from what was sent", "damages packets"),
            Self::LargeFrames => ("get no large frames through, without a word", "is a black hole for them"),
            Self::NewFlows => ("miss new connections", "is dead to some flows"),
            Self::Stuck => (
                "get hardly anything of their data through while their echoes are answered",
                "passes small packets or old connections alone",
            ),
            Self::Loss => ("lose packets at half load", "loses"),
            Self::Stalls => ("stand still together again and again", "holds everything up"),
            Self::Late => ("have their answers late", "delays, or is that long"),
            Self::LateUnderLoad => (
                "have their answers late at half load, but not while nobody sends",
                "is shared by more than it carries",
            ),
            Self::Twice => ("get packets twice", "doubles them"),
            Self::Overtaking => ("get packets out of order", "reorders them"),
        }
    }

    /// Whether it is a fault: what load alone brings out may be how the uplink was built.
    pub const fn is_fault(self) -> bool {
        !matches!(self, Self::LateUnderLoad)
    }

    /// Whether bulk data is slow for it.
    pub const fn slows(self) -> bool {
        !matches!(self, Self::Twice | Self::Late | Self::LateUnderLoad)
    }
}
