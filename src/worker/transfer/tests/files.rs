//! Files between two ends over loopback, through OpenSSH and without it: all of them real.

use std::{fs, path::PathBuf, process::Command};

use super::{super::hosted::Hosted, Command as Order, *};
use crate::model::{
    plan::carriage::Transport,
    record::file::{FileEnd, FileFault, FileOutcome, FileSeen},
};

/// Enough for some slots of a slow machine, and little for its disk.
const FILE_BYTES: u64 = 24 * 1024 * 1024 + 17;

/// Two ends with a spool folder each.
struct Pair {
    source: End,
    sink: End,
    hosted: Vec<Hosted>,
    spools: tempfile::TempDir,
}

impl Pair {
    fn new() -> Self {
        let spools = tempfile::tempdir().unwrap();
        let end = |name: &str| End::on(no_caps(), 1, &spools.path().join(name));
        Self { source: end("source"), sink: end("sink"), hosted: Vec::new(), spools }
    }

    fn stage(
        transport: Transport,
        bytes: u64,
        role: Role,
        peer: SocketAddr,
        slots: u64,
        digit: &str,
    ) -> Stage {
        let carriage = Carriage { transport, file_bytes: Some(bytes), ..Carriage::tcp(1) };
        let meter = Arc::new(Meter::default());
        let flow = Flow { id: FLOW, role, peer, rate_bps: None, key: key(digit), meter };
        let round = Round { offset_us: 0, for_us: slots * SLOT_US, carriage, flows: vec![flow] };
        Stage {
            index: 1,
            fleet_key: key("f"),
            payload: payload(),
            rounds: vec![round],
            peers: BTreeMap::new(),
            probes: BTreeMap::new(),
            for_us: 0,
        }
    }

    /// Begins both ends; the source's key may be another one.
    fn begin(&mut self, transport: Transport, bytes: u64, slots: u64, source_key: &str) {
        let zero = RunTime::of_slot(self.source.shared.run_now().slot() + 20);
        let ends = [
            (&self.sink, Role::Sink, self.source.addr, "a"),
            (&self.source, Role::Source, self.sink.addr, source_key),
        ];
        for (end, role, peer, digit) in ends {
            let stage = Arc::new(Self::stage(transport, bytes, role, peer, slots, digit));
            end.tell(&Order::Prepare(Arc::clone(&stage)));
            end.tell(&Order::Start { stage: 1, at: zero });
            if role == Role::Source {
                end.shared.depot.stock(&stage.payload, bytes);
            }
            let mut hosted = Hosted::default();
            hosted.start(&end.shared, &stage, zero);
            self.hosted.push(hosted);
        }
    }

    /// Listens to both ends until one tells a failure, at most this long.
    fn follow(&mut self, longest: Duration) {
        let limit = Instant::now() + longest;
        while failure(self).is_none() && Instant::now() < limit {
            for end in [&mut self.source, &mut self.sink] {
                while let Ok((_, body)) = end.lines.try_recv() {
                    end.seen.push(body);
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends everything, and looks at what is left of it.
    fn quit(&mut self) -> Vec<PathBuf> {
        for hosted in std::mem::take(&mut self.hosted) {
            hosted.quit();
        }
        self.source.shared.depot.clear();
        self.sink.shared.depot.clear();
        self.source.quit();
        self.sink.quit();
        let below = |name: &str| {
            let entries = fs::read_dir(self.spools.path().join(name)).into_iter().flatten();
            entries.map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
        };
        [below("source"), below("sink")].concat()
    }
}

fn told(seen: &[Body]) -> Vec<&FileSeen> {
    seen.iter().filter_map(|body| if let Body::File(file) = body { Some(&**file) } else { None }).collect()
}

fn complete(transport: Transport) {
    let mut pair = Pair::new();
    pair.begin(transport, FILE_BYTES, 150, "a");
    let compared = |seen: &[Body]| told(seen).iter().any(|file| file.matches.is_some());
    pair.sink.until(Duration::from_secs(25), compared);
    pair.sink.until(Duration::from_secs(5), |seen| received(seen) >= FILE_BYTES);
    pair.source.until(Duration::from_secs(5), |seen| sent(seen).is_some());
    let left = pair.quit();
    let sink = told(&pair.sink.seen);
    let last = sink.last().unwrap();
    assert_eq!((last.end, last.outcome, last.matches), (FileEnd::Sink, FileOutcome::Complete, Some(true)));
    assert_eq!(last.bytes, FILE_BYTES, "the file's own bytes, and each of them once");
    let source = told(&pair.source.seen);
    assert_eq!(source.len(), 1, "{source:?}");
    assert_eq!((source[0].end, source[0].outcome), (FileEnd::Source, FileOutcome::Complete));
    assert!(source[0].congestion_control.is_some(), "{source:?}");
    assert!(sent(&pair.source.seen).unwrap() >= FILE_BYTES);
    assert_eq!(received(&pair.sink.seen), FILE_BYTES, "slots hold every byte");
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_file_goes_through_openssh_and_arrives_as_it_was_sent() {
    let _turn = turn();
    complete(Transport::Scp);
}

#[test]
fn a_file_goes_without_ssh_and_arrives_as_it_was_sent() {
    let _turn = turn();
    complete(Transport::File);
}

/// What the first failure of either end was.
fn failure(pair: &Pair) -> Option<&FileSeen> {
    let ends = [&pair.source, &pair.sink];
    ends.into_iter().flat_map(|end| told(&end.seen)).find(|file| file.outcome == FileOutcome::Failed)
}

#[test]
fn a_source_with_another_key_is_refused_by_name_and_no_byte_passes() {
    let _turn = turn();
    // An asking source with another key does not even learn the port, by any transport.
    for transport in [Transport::Scp, Transport::File] {
        let mut pair = Pair::new();
        pair.begin(transport, FILE_BYTES, 15, "b");
        pair.source.until(Duration::from_secs(8), |seen| !told(seen).is_empty());
        pair.sink.until(Duration::from_secs(8), |seen| !told(seen).is_empty());
        pair.quit();
        let source = told(&pair.source.seen)[0];
        assert_eq!(source.outcome, FileOutcome::GivenUp);
        assert!(source.why.contains("the sink did not say where it listens"), "{}", source.why);
        assert_eq!(told(&pair.sink.seen)[0].bytes, 0);
    }
}

/// Name and parent of a process.
fn process(pid: u32) -> Option<(String, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (head, rest) = stat.rsplit_once(')')?;
    let parent = rest.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some((head.split_once('(')?.1.to_owned(), parent))
}

/// Processes of this name that this one started, directly or not.
fn processes(name: &str) -> Vec<u32> {
    let is_ours = |mut pid: u32| {
        while let Some((_, parent)) = process(pid) {
            if parent == std::process::id() {
                return true;
            }
            pid = parent;
        }
        false
    };
    let all = fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| process(*pid).is_some_and(|(own, _)| own == name) && is_ours(*pid)).collect()
}

/// Kills the processes of this name in a running transfer; the transfer after that.
fn killed(name: &str) -> Pair {
    let mut pair = Pair::new();
    // Long enough that it is under way for a second, and no longer to write on a slow disk; the
    // round is not over before a slow machine has come so far.
    pair.begin(Transport::Scp, 512 << 20, 900, "a");
    pair.sink.until(Duration::from_secs(60), |seen| received(seen) > 0);
    let found = processes(name);
    assert!(!found.is_empty(), "{name}");
    // The first one's death is the death of its children: not all are there to be killed.
    let kill = |pid: u32| Command::new("kill").args(["-9", &pid.to_string()]).output().unwrap();
    assert!(found.into_iter().filter(|pid| kill(*pid).status.success()).count() > 0);
    pair.follow(Duration::from_secs(10));
    pair
}

fn is_killed(mut pair: Pair, end: FileEnd) {
    let seen = failure(&pair).cloned().expect("the failure is told");
    assert_eq!((seen.end, seen.fault), (end, Some(FileFault::Killed)), "{seen:?}");
    let left = pair.quit();
    assert!(left.is_empty(), "{left:?}");
    for name in ["sftp", "ssh", "sshd"] {
        let limit = Instant::now() + Duration::from_secs(5);
        while !processes(name).is_empty() {
            assert!(Instant::now() < limit, "{name} lives on");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn a_killed_client_is_told_by_its_source_and_a_killed_server_by_its_sink() {
    let _turn = turn();
    is_killed(killed("sftp"), FileEnd::Source);
    is_killed(killed("ssh"), FileEnd::Source);
    is_killed(killed("sshd"), FileEnd::Sink);
}

/// A file system of its own, so small that the file does not fit.
struct Small(PathBuf);

impl Small {
    fn on(path: PathBuf) -> Self {
        fs::create_dir_all(&path).unwrap();
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=8m", "nicburn-test"])
            .arg(&path)
            .output()
            .expect("mount is installed");
        assert!(done.status.success(), "this test needs root: {}", String::from_utf8_lossy(&done.stderr));
        Self(path)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_disk_that_fills_up_is_named_by_the_end_whose_it_is() {
    let _turn = turn();
    let cases = [
        (Transport::Scp, "sink", FileEnd::Sink),
        (Transport::File, "sink", FileEnd::Sink),
        (Transport::File, "source", FileEnd::Source),
    ];
    for (transport, whose, end) in cases {
        let mut pair = Pair::new();
        let _small = Small::on(pair.spools.path().join(whose));
        pair.begin(transport, FILE_BYTES, 100, "a");
        pair.follow(Duration::from_secs(20));
        let seen =
            failure(&pair).cloned().unwrap_or_else(|| panic!("{transport:?} {whose}: no failure is told"));
        assert_eq!((seen.end, seen.fault), (end, Some(FileFault::DiskFull)), "{seen:?}");
        let left = pair.quit();
        assert!(left.is_empty(), "{left:?}");
    }
}
