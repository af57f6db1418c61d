//! What a core can keep close: the size of its caches, as the kernel tells it.

use std::{fs, io, path::Path};

/// Where the kernel describes the first core's caches; `x86_64` and aarch64 alike.
const FIRST_CORE: &str = "/sys/devices/system/cpu/cpu0/cache";

/// Bytes of the largest cache that a core has for itself: level 2 wherever servers are built.
///
/// # Errors
///
/// If the kernel does not tell: some virtual machines hide it.
pub fn own_cache_bytes() -> io::Result<usize> {
    level_2(Path::new(FIRST_CORE))
}

fn level_2(core: &Path) -> io::Result<usize> {
    for entry in fs::read_dir(core)? {
        let cache = entry?.path();
        let told = |what: &str| fs::read_to_string(cache.join(what));
        if told("level").is_ok_and(|level| level.trim() == "2") {
            let size = told("size")?;
            let bytes = size.trim().strip_suffix('K').and_then(|kib| kib.parse::<usize>().ok());
            return bytes
                .map(|kib| kib * 1024)
                .ok_or_else(|| io::Error::other(format!("a cache of size {:?}", size.trim())));
        }
    }
    Err(io::Error::new(io::ErrorKind::NotFound, "no cache of level 2 is told of"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn core(caches: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (index, (level, size)) in caches.iter().enumerate() {
            let cache = folder.path().join(format!("index{index}"));
            fs::create_dir(&cache).unwrap();
            fs::write(cache.join("level"), format!("{level}\n")).unwrap();
            fs::write(cache.join("size"), format!("{size}\n")).unwrap();
        }
        folder
    }

    #[test]
    fn the_second_level_is_found_among_the_others() {
        let folder = core(&[("1", "32K"), ("1", "32K"), ("2", "1024K"), ("3", "32768K")]);
        assert_eq!(level_2(folder.path()).unwrap(), 1024 * 1024);
    }

    #[test]
    fn what_is_not_told_or_not_understood_is_an_error() {
        assert_eq!(level_2(core(&[("1", "32K")]).path()).unwrap_err().kind(), io::ErrorKind::NotFound);
        let odd = level_2(core(&[("2", "many")]).path()).unwrap_err();
        assert!(odd.to_string().contains("\"many\""), "{odd}");
        assert!(level_2(Path::new("/nowhere")).is_err());
    }
}
