//! `nicburn pair`, in the letters that iperf3 uses where they mean the same.

use std::path::PathBuf;

use clap::Args;

use super::{FleetArgs, LabArgs, Printing};
use crate::model::{
    fleet::{host::HostName, units::BitRate},
    plan::carriage::{BufferLayout, FRAME_MAX_BYTES, FRAME_MIN_BYTES, FrameSize},
};

/// `nicburn pair`
#[derive(Args, Debug)]
pub struct PairArgs {
    /// The host that sends
    pub from: HostName,
    /// The host that receives
    pub to: HostName,
    /// On what.
    #[command(flatten)]
    pub fleet: FleetArgs,
    /// How the lab is built.
    #[command(flatten)]
    pub lab: LabArgs,
    /// What is sent.
    #[command(flatten)]
    pub load: PairLoad,
    /// Where the record goes: a folder of its own for each measurement, and the link `latest`
    #[arg(long, value_name = "DIR", default_value = "results", env = "NICBURN_OUT")]
    pub out: PathBuf,
    /// What is printed
    #[command(flatten)]
    pub printing: Printing,
}

/// What is sent and for how long.
#[derive(Args, Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag that is typed or not")]
#[command(next_help_heading = "Load")]
pub struct PairLoad {
    /// How many seconds are measured
    #[arg(short = 't', long, value_name = "SECS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub time: u32,
    /// Send this much longer before what counts
    #[arg(short = 'O', long, value_name = "SECS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=60))]
    pub omit: u32,
    /// Print a line each so many seconds
    #[arg(short = 'i', long, value_name = "SECS", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub interval: u32,
    /// Connections, sockets or QUIC streams of each way
    #[arg(short = 'P', long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub parallel: u16,
    /// The rate of each way, for example 20M; as fast as it goes unless given
    #[arg(short = 'b', long, value_name = "RATE")]
    pub bitrate: Option<BitRate>,
    /// The second host sends, and the first receives
    #[arg(short = 'R', long)]
    pub reverse: bool,
    /// Both send at once
    #[arg(long, conflicts_with = "reverse")]
    pub bidir: bool,
    /// Send datagrams
    #[arg(short = 'u', long)]
    pub udp: bool,
    /// Send single frames of so many bytes, Ethernet header counted, or `mtu`: no segmentation offload
    /// then hides them
    #[arg(long, value_name = "BYTES", value_parser = frame_size, requires = "udp")]
    pub frame_size: Option<FrameSize>,
    /// Send by QUIC; a core is its limit long before a card is
    #[arg(long, conflicts_with = "udp")]
    pub quic: bool,
    /// TCP's congestion control, where the kernel permits it
    #[arg(short = 'C', long, value_name = "ALGO", conflicts_with_all = ["udp", "quic"])]
    pub congestion: Option<String>,
    /// How the sender hands TCP's bytes over: write, sendfile, iovec, record32k, zerocopy, vmsplice
    #[arg(long, value_name = "LAYOUT", value_parser = layout, conflicts_with_all = ["udp", "quic"])]
    pub layout: Option<BufferLayout>,
    /// Compare all that arrives with what was sent
    #[arg(long)]
    pub verify: bool,
}

fn layout(text: &str) -> Result<BufferLayout, String> {
    let known = || BufferLayout::ALL.map(BufferLayout::name).join(", ");
    let found = BufferLayout::ALL.into_iter().find(|layout| layout.name() == text);
    found.ok_or_else(|| format!("{text:?} is no buffer layout; use one of {}", known()))
}

fn frame_size(text: &str) -> Result<FrameSize, String> {
    let sizes = FRAME_MIN_BYTES..=FRAME_MAX_BYTES;
    if text == "mtu" {
        return Ok(FrameSize::Mtu);
    }
    let bytes = text.parse().ok().filter(|bytes| sizes.contains(bytes));
    bytes.map(FrameSize::Bytes).ok_or_else(|| {
        format!("{text:?} is no size of a frame; use {} to {} bytes, or mtu", sizes.start(), sizes.end())
    })
}
