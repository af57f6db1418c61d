//! Reads files of lines back, whole or not, packed or not.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read},
    path::{Path, PathBuf},
};

use super::JournalError;

/// The most text that a file may hold, packed or not: a record is read into memory whole,
/// and a packed file of a kilobyte can claim any size.
const TEXT_MAX_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// Bytes read at a time.
const CHUNK_BYTES: usize = 256 * 1024;

/// Gives each text line of a record or spool, plain or `.zst`, to `take`; bytes that are no UTF-8
/// come as replacement characters.
///
/// A torn tail is not cut away: its piece of a line comes last, so that whoever checks the
/// lines says it. Of a packed file that is damaged or cut, all that can be unpacked is read;
/// one piece too short to be a line is added where the cut left none, for the same reason.
///
/// # Errors
///
/// If it cannot be read, or holds more text than any record may.
pub fn each_line(path: &Path, take: impl FnMut(&str)) -> Result<(), JournalError> {
    each_line_up_to(path, TEXT_MAX_BYTES, take)
}

/// All lines as [`each_line`] gives them.
///
/// # Errors
///
/// As there.
pub fn read_lines(path: &Path) -> Result<Vec<String>, JournalError> {
    let mut lines = Vec::new();
    each_line(path, |line| lines.push(line.to_owned()))?;
    Ok(lines)
}

fn each_line_up_to(path: &Path, max: u64, mut take: impl FnMut(&str)) -> Result<(), JournalError> {
    let file = File::open(path).map_err(JournalError::io("open", path))?;
    let packed = path.extension().is_some_and(|extension| extension == "zst");
    let source: Box<dyn Read> = if packed {
        Box::new(zstd::Decoder::new(file).map_err(JournalError::io("unpack", path))?)
    } else {
        Box::new(file)
    };
    // One byte more than may be there tells that there is more.
    let mut source = BufReader::with_capacity(CHUNK_BYTES, source.take(max.saturating_add(1)));
    let (mut line, mut total, mut torn) = (Vec::new(), 0, false);
    loop {
        match source.read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(read) => total += read as u64,
            // What could still be unpacked of the line is there.
            Err(_) if packed => {
                torn = true;
                break;
            }
            Err(source) => return Err(JournalError::Io { doing: "read", path: path.to_owned(), source }),
        }
        if total > max {
            return Err(JournalError::TooLarge { path: path.to_owned(), max });
        }
        if line.last() != Some(&b'\n') {
            break;
        }
        line.pop();
        whole(&line, &mut take);
        line.clear();
    }
    // After a last newline comes nothing. When the unpacking broke off there, that stands for
    // what is lost.
    if !line.is_empty() || torn {
        whole(&line, &mut take);
    }
    Ok(())
}

/// Gives a line on; to look for what is no UTF-8 costs more than to see that all of it is.
fn whole(line: &[u8], take: &mut impl FnMut(&str)) {
    match std::str::from_utf8(line) {
        Ok(text) => take(text),
        Err(_) => take(&String::from_utf8_lossy(line)),
    }
}

/// `record.jsonl` or `record.jsonl.zst` in a run's folder.
///
/// Where both are there the plain one is meant: packing removes it last.
pub fn find_record(run: &Path) -> Result<PathBuf, JournalError> {
    ["record.jsonl", "record.jsonl.zst"]
        .iter()
        .map(|name| run.join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| JournalError::NoRecord { path: run.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::{fs, io};

    use super::*;

    fn written(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        (dir, path)
    }

    #[test]
    fn a_torn_tail_comes_as_a_piece_and_the_rest_is_read() {
        let (_dir, path) = written("r.jsonl", b"one\ntwo\nthr");
        assert_eq!(read_lines(&path).unwrap(), ["one", "two", "thr"]);
    }

    #[test]
    fn bytes_that_are_no_text_do_not_stop_the_reading() {
        let (_dir, path) = written("r.jsonl", b"one\n\xff\xfe\nthree\n");
        assert_eq!(read_lines(&path).unwrap(), ["one", "\u{fffd}\u{fffd}", "three"]);
    }

    #[test]
    fn a_packed_file_cut_at_any_byte_yields_a_beginning_and_a_trace_of_the_cut() {
        let lines: Vec<String> =
            (0..20_000_u32).map(|n| format!("{}", n.wrapping_mul(2_654_435_761))).collect();
        let text = lines.join("\n") + "\n";
        let packed = zstd::encode_all(text.as_bytes(), 1).unwrap();
        let mut longest = 0;
        for cut in (0..packed.len()).step_by(997) {
            let (_dir, path) = written("r.jsonl.zst", &packed[..cut]);
            let read = read_lines(&path).unwrap();
            let (piece, whole) =
                read.split_last().map_or(("", &[][..]), |(last, rest)| (last.as_str(), rest));
            assert_eq!(whole, &lines[..whole.len()], "cut at {cut}");
            assert!(lines[whole.len()].starts_with(piece), "cut at {cut}");
            longest = longest.max(whole.len());
        }
        assert!(longest > 1000, "cuts late in the file yield most of it, at best {longest} lines");
    }

    #[test]
    fn a_small_file_that_unpacks_without_end_is_refused() {
        let bomb = zstd::encode_all(io::repeat(b'x').take(8_000_000), 1).unwrap();
        assert!(bomb.len() < 10_000);
        let (_dir, path) = written("r.jsonl.zst", &bomb);
        assert!(matches!(each_line_up_to(&path, 1_000_000, |_| {}), Err(JournalError::TooLarge { .. })));
    }

    #[test]
    fn a_folder_without_a_record_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let error = find_record(dir.path()).unwrap_err().to_string();
        assert!(error.ends_with("holds neither record.jsonl nor record.jsonl.zst; give the folder of a run"));
        fs::write(dir.path().join("record.jsonl.zst"), "").unwrap();
        assert_eq!(find_record(dir.path()).unwrap(), dir.path().join("record.jsonl.zst"));
        fs::write(dir.path().join("record.jsonl"), "").unwrap();
        assert_eq!(find_record(dir.path()).unwrap(), dir.path().join("record.jsonl"));
    }
}
