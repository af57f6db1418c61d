//! Thin safe wrappers around the kernel: clocks, sockets, links, namespaces, offloads.
//!
//! All `unsafe` code lives here. Decides nothing.

pub mod cache;
pub mod carrier;
pub mod clock;
pub mod contained;
pub mod datagram;
pub mod ethtool;
pub mod family;
pub mod kmsg;
pub mod link;
pub mod namespace;
pub mod offload;
pub mod packet;
pub mod pages;
pub mod process;
pub mod route;
pub mod sock_diag;
pub mod socket;
pub mod stamp;
pub mod xdp;
