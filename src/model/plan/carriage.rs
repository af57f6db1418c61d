//! How the bytes of a flow are carried: transport, buffers, frames, what the receiver does.
//!
//! All of it loads a card differently, and so it is part of the dose and stands in every
//! result. How each is carried out is the worker's work.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Ethernet's header, which a frame size counts and an interface's MTU does not, bytes.
pub const ETHERNET_HEADER_BYTES: u16 = 14;

/// The smallest frame that carries a numbered datagram over IPv4: 64 bytes, Ethernet's own
/// minimum with its check sequence counted in, leave 22 for it.
pub const FRAME_MIN_BYTES: u16 = 64;

/// The largest frame: a jumbo frame of an MTU of 9,216 bytes, the most that cards offer.
pub const FRAME_MAX_BYTES: u16 = 9216 + ETHERNET_HEADER_BYTES;

/// What carries the bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// TCP connections.
    #[default]
    Tcp,
    /// Numbered datagrams: in trains that the kernel or the card cuts, or as single frames
    /// where a frame size is given.
    Udp,
    /// QUIC streams: a kind of traffic, not the hammer.
    Quic,
    /// A real file through the system's `scp` and `sshd`, from disk to disk.
    Scp,
    /// The same file without ssh, so that cipher and card can be told apart.
    File,
}

impl Transport {
    /// Its name in scenario files, records and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Quic => "quic",
            Self::Scp => "scp",
            Self::File => "file",
        }
    }

    /// Whether the workers' own threads carry it, and not a process or runtime beside them.
    pub const fn by_carriers(self) -> bool {
        matches!(self, Self::Tcp | Self::Udp)
    }

    /// Whether it moves a file from disk to disk.
    pub const fn moves_a_file(self) -> bool {
        matches!(self, Self::Scp | Self::File)
    }
}

/// How a sender hands its bytes to the kernel.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BufferLayout {
    /// Writes of 1 MiB, copied by the kernel.
    #[default]
    Write,
    /// From the page cache, in 4 KiB pages (`sendfile`).
    Sendfile,
    /// Many small pieces by reference, so that each packet has as many fragments as the
    /// kernel allows (`vmsplice` of one piece a page).
    Iovec,
    /// Writes of 32 KiB, as ssh and TLS make them.
    Record32k,
    /// By reference from the process's memory (`MSG_ZEROCOPY`).
    Zerocopy,
    /// By reference from huge pages through a pipe (`vmsplice`).
    Vmsplice,
}

impl BufferLayout {
    /// All of them, in the order of documents.
    pub const ALL: [Self; 6] =
        [Self::Write, Self::Sendfile, Self::Iovec, Self::Record32k, Self::Zerocopy, Self::Vmsplice];

    /// Whether the kernel is given pages instead of bytes to copy.
    pub const fn is_by_reference(self) -> bool {
        !matches!(self, Self::Write | Self::Record32k)
    }

    /// Its name in scenario files, records and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Sendfile => "sendfile",
            Self::Iovec => "iovec",
            Self::Record32k => "record32k",
            Self::Zerocopy => "zerocopy",
            Self::Vmsplice => "vmsplice",
        }
    }
}

/// How a receiver takes its bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReceiveMode {
    /// Counted and dropped in the kernel (`MSG_TRUNC`): silent corruption is not seen.
    #[default]
    Discard,
    /// Copied to user space and dropped.
    Read,
    /// One block of this many is read and compared, the others are counted; 1 compares all.
    Verify {
        /// From 1 to 1,024.
        one_in: u16,
    },
}

impl ReceiveMode {
    /// Whether it compares what it receives.
    pub const fn verifies(self) -> bool {
        matches!(self, Self::Verify { .. })
    }
}

impl fmt::Display for ReceiveMode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Discard => out.write_str("discard"),
            Self::Read => out.write_str("read"),
            Self::Verify { one_in: 1 } => out.write_str("verify all"),
            Self::Verify { one_in } => write!(out, "verify 1/{one_in}"),
        }
    }
}

/// The size of single frames: Ethernet header counted, check sequence not.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "FrameSizeText", into = "FrameSizeText")]
pub enum FrameSize {
    /// So many bytes.
    Bytes(u16),
    /// As large as the fleet's MTU allows; a plan has the number in its place.
    Mtu,
}

/// How it is written: a number, or `"mtu"`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum FrameSizeText {
    Bytes(u16),
    Word(String),
}

impl From<FrameSize> for FrameSizeText {
    fn from(size: FrameSize) -> Self {
        match size {
            FrameSize::Bytes(bytes) => Self::Bytes(bytes),
            FrameSize::Mtu => Self::Word("mtu".to_owned()),
        }
    }
}

impl TryFrom<FrameSizeText> for FrameSize {
    type Error = String;

    fn try_from(text: FrameSizeText) -> Result<Self, String> {
        match text {
            FrameSizeText::Bytes(bytes) => Ok(Self::Bytes(bytes)),
            FrameSizeText::Word(word) if word == "mtu" => Ok(Self::Mtu),
            FrameSizeText::Word(word) => {
                Err(format!("`{word}` is no size of a frame; write a number or \"mtu\""))
            }
        }
    }
}

impl JsonSchema for FrameSize {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FrameSize".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        FrameSizeText::json_schema(generator)
    }
}

/// How the bytes of a flow are carried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Carriage {
    /// What carries them.
    #[serde(default)]
    pub transport: Transport,
    /// Connections, sockets or QUIC streams of a flow.
    pub streams: u16,
    /// The sender's buffer layout.
    #[serde(default)]
    pub layout: BufferLayout,
    /// The receiver's mode.
    #[serde(default)]
    pub receive: ReceiveMode,
    /// Datagrams leave as single frames of this size. Rates and counts of such a stage are of
    /// whole frames.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame_size_bytes: Option<FrameSize>,
    /// Each flow makes this many new connections a second instead of keeping some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections_per_s: Option<u16>,
    /// TCP's congestion control; otherwise the worker's: cubic where permitted, else reno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub congestion_control: Option<String>,
    /// The size of the file that `scp` and `file` move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_bytes: Option<u64>,
}

impl Default for Carriage {
    fn default() -> Self {
        Self::tcp(1)
    }
}

impl Carriage {
    /// So many plain TCP connections.
    pub const fn tcp(streams: u16) -> Self {
        Self {
            transport: Transport::Tcp,
            streams,
            layout: BufferLayout::Write,
            receive: ReceiveMode::Discard,
            frame_size_bytes: None,
            connections_per_s: None,
            congestion_control: None,
            file_bytes: None,
        }
    }

    /// The size of its frames, where it is a planned number.
    pub const fn frame_bytes(&self) -> Option<u16> {
        match self.frame_size_bytes {
            Some(FrameSize::Bytes(bytes)) => Some(bytes),
            Some(FrameSize::Mtu) | None => None,
        }
    }

    /// In a few words, for plans and reports: `tcp, 2 streams, sendfile, verify 1/64`.
    pub fn words(&self) -> String {
        let mut words = vec![self.transport.name().to_owned()];
        match self.connections_per_s {
            Some(rate) => words.push(format!("{rate} new connections/s a flow")),
            None if self.transport.moves_a_file() => {}
            None => {
                let plural = if self.streams == 1 { "" } else { "s" };
                words.push(format!("{} stream{plural}", self.streams));
            }
        }
        match (self.transport, self.frame_size_bytes) {
            (Transport::Udp, Some(FrameSize::Bytes(size))) => {
                words.push(format!("single frames of {size} bytes"));
            }
            (Transport::Udp, Some(FrameSize::Mtu)) => words.push("single frames of the MTU".to_owned()),
            (Transport::Udp, None) => words.push("trains".to_owned()),
            _ => {}
        }
        if self.layout != BufferLayout::default() {
            words.push(self.layout.name().to_owned());
        }
        if self.receive != ReceiveMode::default() {
            words.push(self.receive.to_string());
        }
        words.extend(self.congestion_control.clone());
        words.join(", ")
    }
}
