//! Numbers and texts at a place in an answer; `None` past its end.

use core::net::IpAddr;

/// The 16-bit number at `at`.
pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at.checked_add(2)?)?.try_into().ok().map(u16::from_ne_bytes)
}

/// The 32-bit number at `at`.
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_ne_bytes)
}

/// The 64-bit number at `at`.
pub fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at.checked_add(8)?)?.try_into().ok().map(u64::from_ne_bytes)
}

/// The text in `bytes` up to its first zero byte, printable.
pub fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    super::printable(&String::from_utf8_lossy(&bytes[..end]))
}

/// A hardware address as `02:fc:00:00:00:01`; `None` for one without bytes.
pub fn mac(bytes: &[u8]) -> Option<String> {
    let digits: Vec<String> = bytes.iter().take(32).map(|byte| format!("{byte:02x}")).collect();
    (!digits.is_empty()).then(|| digits.join(":"))
}

/// An IPv4 or IPv6 address of 4 or 16 bytes.
pub fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}
