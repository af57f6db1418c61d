//! What one end of a flow that moves a file tells of it: when it was through, or why it
//! was not.

use serde::{Deserialize, Serialize};

use crate::model::{fleet::units::RunTime, plan::layout::FlowId};

/// The state of a file's transfer, from one of its ends. Later lines of the same flow and end
/// know more; the first end of a flow stays its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileSeen {
    /// The flow.
    pub flow: FlowId,
    /// Which end tells.
    pub end: FileEnd,
    /// When it came to this.
    pub at: RunTime,
    /// What it came to.
    pub outcome: FileOutcome,
    /// Bytes of the file that passed this end: at the sink on disk, at the source acknowledged.
    pub bytes: u64,
    /// Where it failed: what was the matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<FileFault>,
    /// In words, and what to do about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// Whether what lies on disk is what was sent; `None` where it was not compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matches: Option<bool>,
    /// What of this end's host held it up for most of the time; `None` where nothing did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limited_by: Option<FileLimit>,
    /// Share of the time in which this end waited for its disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_share: Option<f32>,
    /// Share of a core that the busiest of its threads or processes used or waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_share: Option<f32>,
    /// Congestion control of the connection, where the kernel told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub congestion_control: Option<String>,
}

/// An end of a transfer.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileEnd {
    /// It sends the file.
    Source,
    /// It receives the file.
    Sink,
}

/// What became of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileOutcome {
    /// All of it passed.
    Complete,
    /// Something other than the network ended it.
    Failed,
    /// Its round was over, or somebody stopped it, before all of it had passed.
    GivenUp,
}

/// What ended a transfer that the network did not end. None of it is a card's fault.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileFault {
    /// No space left where the file lies or is to lie.
    DiskFull,
    /// The disk or its file system refused.
    Disk,
    /// A process of OpenSSH was killed.
    Killed,
    /// The ends do not hold the same keys.
    Refused,
    /// A program or a socket could not be started.
    NotStarted,
}

impl FileFault {
    /// Its name in texts.
    pub const fn words(self) -> &'static str {
        match self {
            Self::DiskFull => "its disk is full",
            Self::Disk => "its disk refused",
            Self::Killed => "its ssh was killed",
            Self::Refused => "the key was refused",
            Self::NotStarted => "it could not be started",
        }
    }
}

/// What of a host can be slower than its card.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileLimit {
    /// Reading or writing the file.
    Disk,
    /// ssh, which encrypts on one core.
    Cipher,
    /// The copying thread had no more of a core.
    Cpu,
}

impl FileLimit {
    /// Its name in texts.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Disk => "its disk",
            Self::Cipher => "ssh's cipher on one core",
            Self::Cpu => "one core",
        }
    }
}
