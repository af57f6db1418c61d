//! The kernel's log: records of `/dev/kmsg`, whose card a line speaks of, what it means.
//!
//! Reading the device is `sys::kmsg`'s work, what a line proves the judge's. The lines that
//! are known stand in [`table`].
//!
//! Format: `Documentation/ABI/testing/dev-kmsg` of the kernel.

use super::facts::KernelLine;

pub mod table;
#[cfg(test)]
mod tests;

pub use table::{KNOWN, Known, Meaning, Scope};

/// The longest text that a record keeps of a line, in bytes.
pub const TEXT_MAX_BYTES: usize = 512;

/// The least grave level of a line that is shown although nothing is known of it: error.
pub const ERROR: u8 = 3;

/// One record of `/dev/kmsg`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KmsgRecord {
    /// The syslog facility; 0 is the kernel, others wrote into its log.
    pub facility: u32,
    /// The syslog level, 0 (emergency) to 7 (debug).
    pub level: u8,
    /// Its number since the boot, without gaps: a gap is what was overwritten.
    pub seq: u64,
    /// Microseconds by the kernel's own clock, which starts at boot and is not disciplined.
    pub at_us: u64,
    /// The text, escapes undone, at most [`TEXT_MAX_BYTES`], without control characters.
    pub text: String,
}

/// Why bytes are no record of `/dev/kmsg`.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KmsgError {
    /// There is no `;` after the prefix.
    #[error("a record of the kernel's log has no `;` between prefix and text")]
    NoText,
    /// A field of the prefix is missing or no number.
    #[error("a record of the kernel's log lacks its {0}")]
    Lacks(&'static str),
}

/// Reads one record: `prio,seq,usec,flags[,…];text`, then lines of ` KEY=value`.
///
/// The keys (device, subsystem) are passed over: `dev_printk` writes driver and device in
/// front of the text as well, and only the text goes into a run's record.
pub fn parse(bytes: &[u8]) -> Result<KmsgRecord, KmsgError> {
    let end = bytes.iter().position(|byte| *byte == b';').ok_or(KmsgError::NoText)?;
    let (prefix, text) = (String::from_utf8_lossy(&bytes[..end]), &bytes[end + 1..]);
    let mut fields = prefix.split(',');
    let mut number = |what: &'static str| {
        fields.next().and_then(|field| field.parse::<u64>().ok()).ok_or(KmsgError::Lacks(what))
    };
    let prio = number("priority")?;
    let (seq, at_us) = (number("sequence number")?, number("time")?);
    let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(KmsgRecord {
        facility: u32::try_from(prio >> 3).map_err(|_| KmsgError::Lacks("priority"))?,
        level: (prio & 7) as u8,
        seq,
        at_us,
        text: clean(&String::from_utf8_lossy(&unescape(first))),
    })
}

/// Undoes `\xHH`, as which the kernel writes what is not printable, and the backslash itself.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        let code = rest
            .strip_prefix(b"\\x")
            .and_then(|hex| std::str::from_utf8(hex.get(..2)?).ok())
            .filter(|hex| hex.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match code {
            Some(byte) => (out.push(byte), rest = &rest[4..]),
            None => (out.push(*first), rest = tail),
        };
    }
    out
}

/// One line that a record may keep: control characters replaced, and no longer than allowed.
pub fn clean(text: &str) -> String {
    let mut out = String::new();
    for c in text.trim_end().chars() {
        let c = match c {
            '\t' => ' ',
            c if c.is_control() => '\u{fffd}',
            c => c,
        };
        if out.len() + c.len_utf8() > TEXT_MAX_BYTES {
            break;
        }
        out.push(c);
    }
    out
}

/// The card under test, by what kernel lines call it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Card {
    /// The interface.
    pub iface: String,
    /// The driver, where it is known.
    pub driver: Option<String>,
    /// Its place on the bus, for example `0000:00:05.0`, where it is known.
    pub bus: Option<String>,
}

/// Whose card a line speaks of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Concerns {
    /// The card under test: its interface or its place on the bus is named.
    ThisCard,
    /// The driver of the card under test, without saying which of its cards.
    ItsDriver,
    /// Another interface, or another device.
    AnotherCard,
    /// No card that could be told.
    NoCard,
}

/// Whose card a line speaks of, by the forms that `netdev_printk` (`driver bus iface: …`)
/// and `dev_printk` (`driver bus: …`) write, and by names within the text.
pub fn concerns(text: &str, card: &Card) -> Concerns {
    let header = text.split(": ").next().unwrap_or_default();
    let words: Vec<&str> = header.split_ascii_whitespace().collect();
    let driver = card.driver.as_deref().is_some_and(|driver| !driver.is_empty() && names(text, driver));
    // Three words before the first colon: the last is an interface, and no other is meant.
    if let [_, bus, iface] = words[..]
        && (is_bus(bus) || driver)
    {
        return if iface == card.iface { Concerns::ThisCard } else { Concerns::AnotherCard };
    }
    let mut buses = text.split(|c: char| !(c.is_ascii_alphanumeric() || ":.".contains(c))).filter_map(bus_in);
    let told = card.bus.as_deref().and_then(bus_in);
    if let Some(told) = told
        && buses.clone().any(|bus| bus == told)
    {
        return Concerns::ThisCard;
    }
    if !card.iface.is_empty() && names(text, &card.iface) {
        return Concerns::ThisCard;
    }
    if buses.next().is_some() {
        // Of a bus that is not ours, or that could not be compared: not ours to claim.
        return Concerns::AnotherCard;
    }
    if driver || is_xen(text, card) { Concerns::ItsDriver } else { Concerns::NoCard }
}

/// The Xen driver calls itself `xennet` in its messages, `vif` on its bus and `xen_netfront`
/// as a module (`drivers/net/xen-netfront.c`).
fn is_xen(text: &str, card: &Card) -> bool {
    names(text, "xennet") && matches!(card.driver.as_deref(), Some("vif" | "xen_netfront" | "xen-netfront"))
}

/// Whether `name` stands in `text` as a word of its own: `eth0` is in `eth0:` and not in
/// `eth01`, `veth0` or `eth0.100`.
fn names(text: &str, name: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let mut after = text[at + name.len()..].chars();
        let next = after.next();
        let joined = next.is_some_and(|c| part(c) || (c == '.' && after.next().is_some_and(part)));
        !joined && !before.is_some_and(|c| part(c) || c == '.')
    })
}

/// Whether a word is a place on a bus, of PCI or of the virtual ones.
fn is_bus(word: &str) -> bool {
    bus_in(word).is_some() || word.starts_with("virtio") || word.starts_with("vif-")
}

/// `dddd:bb:dd.f` in a word, without what punctuation follows it.
fn bus_in(word: &str) -> Option<&str> {
    let word = word.trim_end_matches([':', '.']);
    let (address, function) = word.rsplit_once('.')?;
    let parts: Vec<&str> = address.split(':').collect();
    let hex = |part: &str, digits: usize| {
        part.len() == digits && part.bytes().all(|digit| digit.is_ascii_hexdigit())
    };
    let sound = matches!(parts[..], [domain, bus, device] if hex(domain, 4) && hex(bus, 2) && hex(device, 2));
    (sound && hex(function, 1)).then_some(word)
}

/// What is known of a line.
pub fn classify(text: &str) -> Option<&'static Known> {
    let lower = text.to_ascii_lowercase();
    KNOWN.iter().find(|known| fits(known.pattern, &lower))
}

/// What is known of a line, as far as it may concern this card or its host; `None` where it
/// is of another card or of nothing that is known.
pub fn known_of(text: &str, card: &Card) -> Option<&'static Known> {
    let concerns = concerns(text, card);
    classify(text).filter(|known| match known.scope {
        Scope::Host => true,
        Scope::Card => matches!(concerns, Concerns::ThisCard | Concerns::ItsDriver),
    })
}

/// Whether a line belongs into a run's record: it is known and of this card or its host, or
/// it is an error that names the card or its driver.
pub fn is_relevant(level: u8, text: &str, card: &Card) -> bool {
    let named = matches!(concerns(text, card), Concerns::ThisCard | Concerns::ItsDriver);
    (level <= ERROR && named) || known_of(text, card).is_some()
}

/// Whether the pieces of `pattern` between its stars stand in `text`, in that order. Both
/// are lower case.
fn fits(pattern: &str, text: &str) -> bool {
    let mut rest = text;
    pattern.split('*').all(|piece| match rest.find(piece) {
        Some(at) => {
            rest = &rest[at + piece.len()..];
            true
        }
        None => false,
    })
}

/// The speed that a line about a link tells, in bits per second: `10 Gbps`, `25Gbps`,
/// `1000 Mbps`, `1Gbps/Full`, `100000 Mbps`.
pub fn speed_bps(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    [("gbps", 1_000_000_000), ("mbps", 1_000_000)].iter().find_map(|(unit, factor)| {
        let (before, _) = lower.split_once(unit)?;
        let digits = before.trim_end();
        let start = digits.rfind(|c: char| !(c.is_ascii_digit() || c == '.')).map_or(0, |at| at + 1);
        // 2.5 Gb/s is a speed of Ethernet.
        let (whole, tenth) = digits[start..].split_once('.').unwrap_or((&digits[start..], "0"));
        let tenths = whole.parse::<u64>().ok()?.checked_mul(10)?.checked_add(tenth.parse::<u64>().ok()?)?;
        tenths.checked_mul(factor / 10)
    })
}

impl KernelLine {
    /// What is known of it, where it may concern this card or its host.
    pub fn known_of(&self, card: &Card) -> Option<&'static Known> {
        known_of(&self.text, card)
    }
}
