//! Walks rtnetlink: the messages of an answer, and the attributes of a message. The only
//! walker; what the messages mean is told by `link`, `neighbour` and `qdisc`.

use std::collections::BTreeMap;

use super::{
    ReadError,
    bytes::{u16_at, u32_at},
};

/// `struct nlmsghdr`.
pub const HEADER_BYTES: usize = 16;

/// `NLMSG_ERROR`: a refusal, or with code 0 an acknowledgement.
pub const ERROR: u16 = 2;
/// `NLMSG_DONE`: the end of a dump.
pub const DONE: u16 = 3;
/// `RTM_NEWLINK`.
pub const NEW_LINK: u16 = 16;
/// `RTM_GETLINK`.
pub const GET_LINK: u16 = 18;
/// `RTM_NEWADDR`.
pub const NEW_ADDRESS: u16 = 20;
/// `RTM_GETADDR`.
pub const GET_ADDRESS: u16 = 22;
/// `RTM_NEWNEIGH`.
pub const NEW_NEIGHBOUR: u16 = 28;
/// `RTM_GETNEIGH`.
pub const GET_NEIGHBOUR: u16 = 30;
/// `RTM_NEWQDISC`.
pub const NEW_QDISC: u16 = 36;
/// `RTM_GETQDISC`.
pub const GET_QDISC: u16 = 38;

/// `NLA_TYPE_MASK`: the two highest bits of an attribute's kind are flags.
const KIND_MASK: u16 = 0x3fff;

/// One message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Message<'a> {
    /// For example [`NEW_LINK`].
    pub kind: u16,
    /// `NLM_F_…`.
    pub flags: u16,
    /// The number of the request that it answers; 0 for news.
    pub seq: u32,
    /// What follows the header.
    pub body: &'a [u8],
}

/// The messages of an answer, in order. One that lies about its length is an error, and
/// the last item.
pub fn messages(bytes: &[u8]) -> impl Iterator<Item = Result<Message<'_>, ReadError>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let found = first(rest);
        rest = match &found {
            // Messages are padded to four bytes.
            Ok(message) => {
                rest.get((HEADER_BYTES + message.body.len()).next_multiple_of(4)..).unwrap_or_default()
            }
            Err(_) => &[],
        };
        Some(found)
    })
}

fn first(bytes: &[u8]) -> Result<Message<'_>, ReadError> {
    let lacks = |what| ReadError::lacks("a netlink message", what);
    let length = u32_at(bytes, 0).ok_or_else(|| lacks("its length"))? as usize;
    let kind = u16_at(bytes, 4).ok_or_else(|| lacks("its kind"))?;
    let flags = u16_at(bytes, 6).ok_or_else(|| lacks("its flags"))?;
    let seq = u32_at(bytes, 8).ok_or_else(|| lacks("its number"))?;
    let body = bytes.get(HEADER_BYTES..length).ok_or_else(|| lacks("bytes that its length promises"))?;
    Ok(Message { kind, flags, seq, body })
}

/// The bodies of all messages of one kind; other kinds are passed over.
pub fn bodies(bytes: &[u8], kind: u16) -> Result<Vec<&[u8]>, ReadError> {
    let of_kind = |message: &Result<Message<'_>, ReadError>| {
        message.as_ref().map_or(true, |message| message.kind == kind)
    };
    messages(bytes).filter(of_kind).map(|message| message.map(|message| message.body)).collect()
}

/// The attributes of a message, or of a nested attribute, by kind.
pub fn attributes(mut bytes: &[u8]) -> Result<BTreeMap<u16, &[u8]>, ReadError> {
    let lacks = |what| ReadError::lacks("a netlink attribute", what);
    let mut found = BTreeMap::new();
    while !bytes.is_empty() {
        let length = usize::from(u16_at(bytes, 0).ok_or_else(|| lacks("its length"))?);
        let kind = u16_at(bytes, 2).ok_or_else(|| lacks("its kind"))? & KIND_MASK;
        let value = bytes.get(4..length).ok_or_else(|| lacks("bytes that its length promises"))?;
        found.insert(kind, value);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(found)
}
