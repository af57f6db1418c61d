//! A program at the entry of an interface (XDP) that drops some of what arrives. For labs: it
//! drops where firewalls of that kind do, and the driver counts it.

use std::{
    io,
    mem::size_of,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

use super::carrier::index_of;

/// Commands of `bpf(2)`, of linux/bpf.h.
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_LINK_CREATE: libc::c_long = 28;
/// `BPF_PROG_TYPE_XDP` and the way it is attached, `BPF_XDP`.
const PROGRAM_XDP: u32 = 6;
const ATTACH_XDP: u32 = 37;
/// What a program says of a packet.
const XDP_DROP: i32 = 1;
const XDP_PASS: i32 = 2;
/// `bpf_get_prandom_u32` by its number.
const RANDOM: i32 = 7;

/// One instruction: `struct bpf_insn`.
#[repr(C)]
struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

/// The first fields of `union bpf_attr` for loading a program; the kernel takes the rest for 0.
#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    program: u64,
    licence: u64,
    log: [u64; 3],
}

/// … and for attaching it.
#[repr(C)]
struct Attach {
    program: u32,
    target: u32,
    how: u32,
    flags: u32,
}

/// A program at an interface, until it is dropped.
#[derive(Debug)]
pub struct Xdp {
    _link: OwnedFd,
}

impl Xdp {
    /// Drops so many of a hundred packets that arrive at `iface`, of the calling thread's network
    /// namespace.
    ///
    /// # Errors
    ///
    /// If the kernel refuses: it asks for `CAP_BPF` and `CAP_NET_ADMIN` of the whole machine, and
    /// a veth pair for an MTU of at most some 3,500 bytes.
    pub fn dropping(iface: &str, percent: f64) -> io::Result<Self> {
        let program = load(&program(percent))?;
        let attach = Attach {
            program: program.as_raw_fd().cast_unsigned(),
            target: index_of(iface)?,
            how: ATTACH_XDP,
            flags: 0,
        };
        bpf(BPF_LINK_CREATE, &attach).map(|link| Self { _link: link })
    }
}

/// Draws a number for each packet and drops those below a bound.
fn program(percent: f64) -> [Instruction; 6] {
    let instruction =
        |code: u8, offset: i16, immediate: i32| Instruction { code, registers: 0, offset, immediate };
    let bound = (percent / 100.0 * f64::from(u32::MAX)) as u32;
    // In the assembler's words; r0 is what is answered.
    let (call, if_w0_ge, mov_r0, exit) = (0x85, 0x36, 0xb7, 0x95);
    [
        instruction(call, 0, RANDOM),
        instruction(if_w0_ge, 2, bound.cast_signed()),
        instruction(mov_r0, 0, XDP_DROP),
        instruction(exit, 0, 0),
        instruction(mov_r0, 0, XDP_PASS),
        instruction(exit, 0, 0),
    ]
}

fn load(program: &[Instruction]) -> io::Result<OwnedFd> {
    let load = Load {
        kind: PROGRAM_XDP,
        count: program.len() as u32,
        program: program.as_ptr() as u64,
        licence: c"GPL".as_ptr() as u64,
        log: [0; 3],
    };
    bpf(BPF_PROG_LOAD, &load)
}

/// `bpf(2)` for the commands that answer with a descriptor.
fn bpf<T>(command: libc::c_long, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: `attributes` is plain data of the size that is told, and what it points at lives in
    // the caller's frames or for ever.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<T>()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just handed out this descriptor, and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}
