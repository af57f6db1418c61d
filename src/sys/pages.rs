//! Memory on huge pages, and its pages handed to a pipe without a copy.

use std::{
    io,
    ops::{Deref, DerefMut},
    os::fd::AsFd,
    ptr::NonNull,
};

use rustix::{
    io::IoSlice,
    mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap},
};

/// What a huge page is on `x86_64` and, with 4 KiB pages, on aarch64.
pub const HUGE_BYTES: usize = 2 * 1024 * 1024;

/// Memory aligned to huge pages; the kernel uses them where it may.
#[derive(Debug)]
pub struct HugePages {
    mapping: NonNull<u8>,
    mapped: usize,
    offset: usize,
    length: usize,
}

// SAFETY: plain memory that this owns alone; shared references only read it.
unsafe impl Send for HugePages {}
// SAFETY: as above.
unsafe impl Sync for HugePages {}

impl HugePages {
    /// `pages` of them, written by `fill` once.
    pub fn new(pages: usize, fill: impl FnOnce(&mut [u8])) -> io::Result<Self> {
        let length = pages.max(1) * HUGE_BYTES;
        // One more, so that an aligned range lies within.
        let mapped = length + HUGE_BYTES;
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new private mapping at a place of the kernel's choice touches nothing of ours.
        let raw = unsafe { mmap_anonymous(std::ptr::null_mut(), mapped, access, MapFlags::PRIVATE) }?;
        let mapping = NonNull::new(raw.cast::<u8>()).ok_or_else(|| io::Error::other("mapped at zero"))?;
        let offset = mapping.as_ptr().align_offset(HUGE_BYTES);
        let this = Self { mapping, mapped, offset, length };
        // SAFETY: `offset + length` lies within the mapping, which this owns.
        unsafe {
            let start = this.mapping.as_ptr().add(offset);
            // Without huge pages it works too, only slower.
            let _ = madvise(start.cast(), length, Advice::LinuxHugepage);
            fill(std::slice::from_raw_parts_mut(start, length));
        }
        Ok(this)
    }
}

impl Deref for HugePages {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the range lies within the mapping, which lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.mapping.as_ptr().add(self.offset), self.length) }
    }
}

impl DerefMut for HugePages {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and nobody else refers to it while `self` is borrowed for writing.
        unsafe { std::slice::from_raw_parts_mut(self.mapping.as_ptr().add(self.offset), self.length) }
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        // SAFETY: this mapping is owned alone, and no slice of it outlives `self`.
        // A refusal leaves the memory mapped, which the process's end clears.
        let _ = unsafe { munmap(self.mapping.as_ptr().cast(), self.mapped) };
    }
}

/// Puts the pages behind `bytes` into a pipe, as many as fit; they are not copied.
///
/// What is then written to `bytes` may still reach the reader: only memory that never changes
/// again belongs here, which is what the lifetime says.
pub fn view_into_pipe(pipe: impl AsFd, bytes: &'static [u8]) -> io::Result<usize> {
    let slices = [IoSlice::new(bytes)];
    // SAFETY: the slice lives for ever and is never written.
    let done = unsafe {
        libc::vmsplice(
            std::os::fd::AsRawFd::as_raw_fd(&pipe.as_fd()),
            slices.as_ptr().cast::<libc::iovec>(),
            1,
            0,
        )
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(done as usize) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_aligned_and_keep_what_was_written() {
        let pages = HugePages::new(2, |bytes| bytes.fill(7)).expect("memory");
        assert_eq!(pages.len(), 2 * HUGE_BYTES);
        assert_eq!(pages.as_ptr().align_offset(HUGE_BYTES), 0);
        assert!(pages.iter().all(|byte| *byte == 7));
    }

    #[test]
    fn a_pipe_shows_the_pages_bytes() {
        let pages: &'static HugePages =
            Box::leak(Box::new(HugePages::new(1, |bytes| bytes.fill(9)).expect("memory")));
        let (read, write) = rustix::pipe::pipe().expect("a pipe");
        let put = view_into_pipe(&write, &pages[..4096]).expect("pages go in");
        assert_eq!(put, 4096);
        let mut bytes = [0; 4096];
        assert_eq!(rustix::io::read(&read, &mut bytes).expect("read"), 4096);
        assert_eq!(bytes, [9; 4096]);
    }
}
