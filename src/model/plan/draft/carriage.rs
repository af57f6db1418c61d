//! The keys of a stage that say how its bytes are carried, and which of them go together.

use toml::de::DeTable;

use super::reader::Reader;
use crate::model::plan::carriage::{
    BufferLayout, Carriage, FRAME_MAX_BYTES, FRAME_MIN_BYTES, FrameSize, ReceiveMode, Transport,
};

/// Streams of a flow unless the file says otherwise: two, so that one lost window of one
/// stream is not the whole flow's silence.
const STREAMS: u16 = 2;

/// Bytes of the file that `scp` and `file` move unless the file says otherwise: 1 GiB, at
/// 1 Gb/s nine seconds.
const FILE_BYTES: u64 = 1 << 30;

/// Files are at least one block and at most what a day at 100 Gb/s would take.
const FILE_MIN_BYTES: u64 = 64 * 1024;
const FILE_MAX_BYTES: u64 = 1 << 50;

/// New connections a second of one flow at most: a client has 28,000 ports for one server
/// and each of them rests for a minute, if the server closes last.
const CONNECTIONS_MAX: u16 = 10_000;

/// Frame sizes of one stage at most: as many as RFC 2544 has, and some of one's own.
const FRAME_SIZES_MAX: usize = 20;

/// The keys read here.
pub const KEYS: &[&str] = &[
    "transport",
    "streams",
    "layout",
    "receive",
    "verify",
    "frame_sizes",
    "connections_per_s",
    "congestion_control",
    "file",
];

/// Which transports a key goes with.
const GOES_WITH: &[(&str, &[Transport])] = &[
    ("streams", &[Transport::Tcp, Transport::Udp, Transport::Quic]),
    ("layout", &[Transport::Tcp]),
    ("receive", &[Transport::Tcp, Transport::Udp]),
    ("verify", &[Transport::Tcp, Transport::Udp, Transport::Quic]),
    ("frame_sizes", &[Transport::Udp]),
    ("connections_per_s", &[Transport::Tcp]),
    ("congestion_control", &[Transport::Tcp]),
    ("file", &[Transport::Scp, Transport::File]),
];

/// Reads how a stage's bytes are carried: once, or once for each of its frame sizes.
/// `None` where a fault keeps it from being told.
pub fn read(reader: &mut Reader<'_>, table: &DeTable<'_>) -> Option<Vec<Carriage>> {
    let transport = transport(reader, table)?;
    check_company(reader, table, transport);
    let streams = if transport.moves_a_file() { 1 } else { STREAMS };
    let streams = reader.count(table, "stage", "streams", 1..1001, streams);
    let layout = layout(reader, table);
    let receive = receive(reader, table);
    let connections = reader.count(table, "stage", "connections_per_s", 1..CONNECTIONS_MAX + 1, 1);
    let connections_per_s = table.get("connections_per_s").and(connections);
    let congestion_control = congestion_control(reader, table);
    let file_bytes = file(reader, table).filter(|_| transport.moves_a_file());
    let frame_sizes = frame_sizes(reader, table)?;
    let base = Carriage {
        transport,
        streams: streams?,
        layout: layout?,
        receive: receive?,
        frame_size_bytes: None,
        connections_per_s,
        congestion_control,
        file_bytes,
    };
    if frame_sizes.is_empty() {
        return Some(vec![base]);
    }
    Some(
        frame_sizes
            .into_iter()
            .map(|size| Carriage { frame_size_bytes: Some(size), ..base.clone() })
            .collect(),
    )
}

/// A key that its transport knows nothing of is a misunderstanding, not a detail.
fn check_company(reader: &mut Reader<'_>, table: &DeTable<'_>, transport: Transport) {
    for (key, transports) in GOES_WITH {
        let Some(given) = table.get(*key).filter(|_| !transports.contains(&transport)) else { continue };
        let line = reader.line(given.span());
        let names: Vec<&str> = transports.iter().map(|transport| transport.name()).collect();
        let wrong =
            format!("goes with the transports {} and this is `{}`", names.join(", "), transport.name());
        reader.fault(line, &format!("stage.{key}"), wrong, "leave one of the two out".to_owned());
    }
    for other in ["layout", "receive", "verify"] {
        if let (Some(given), true) = (table.get(other), table.get("connections_per_s").is_some()) {
            let line = reader.line(given.span());
            let wrong =
                "stands beside `connections_per_s`, whose connections carry next to nothing".to_owned();
            reader.fault(line, &format!("stage.{other}"), wrong, "leave one of the two out".to_owned());
        }
    }
}

fn transport(reader: &mut Reader<'_>, table: &DeTable<'_>) -> Option<Transport> {
    if table.get("transport").is_none() {
        return Some(Transport::Tcp);
    }
    let all = [Transport::Tcp, Transport::Udp, Transport::Quic, Transport::Scp, Transport::File];
    choice(reader, table, "transport", &all, Transport::name)
}

fn layout(reader: &mut Reader<'_>, table: &DeTable<'_>) -> Option<BufferLayout> {
    if table.get("layout").is_none() {
        return Some(BufferLayout::default());
    }
    choice(reader, table, "layout", &BufferLayout::ALL, BufferLayout::name)
}

/// One of several names.
fn choice<T: Copy>(
    reader: &mut Reader<'_>,
    table: &DeTable<'_>,
    key: &str,
    all: &[T],
    name: fn(T) -> &'static str,
) -> Option<T> {
    let (text, line) = reader.text(table, "stage", key)?;
    let found = all.iter().copied().find(|one| name(*one) == text);
    if found.is_none() {
        let names: Vec<&str> = all.iter().map(|one| name(*one)).collect();
        let path = format!("stage.{key}");
        reader.fault(line, &path, format!("`{text}` is no {key}"), format!("use {}", names.join(", ")));
    }
    found
}

/// `receive = "discard" | "read"`, or `verify = "all" | "1/64"`.
fn receive(reader: &mut Reader<'_>, table: &DeTable<'_>) -> Option<ReceiveMode> {
    if let (Some(given), true) = (table.get("verify"), table.get("receive").is_some()) {
        let line = reader.line(given.span());
        let help = "leave `receive` out: what is verified is read".to_owned();
        reader.fault(line, "stage.verify", "stands beside `receive`".to_owned(), help);
        return None;
    }
    if table.get("verify").is_some() {
        let (text, line) = reader.text(table, "stage", "verify")?;
        let one_in = match text.as_str() {
            "all" => Some(1),
            _ => text.strip_prefix("1/").and_then(|n| n.trim().parse().ok()),
        };
        let sound = one_in.filter(|one_in| (1..=1024).contains(one_in));
        if sound.is_none() {
            let wrong = format!("`{text}` is no share of the blocks");
            let help = "write \"all\", or one block in at most 1,024, for example \"1/64\"".to_owned();
            reader.fault(line, "stage.verify", wrong, help);
        }
        return sound.map(|one_in| ReceiveMode::Verify { one_in });
    }
    if table.get("receive").is_none() {
        return Some(ReceiveMode::default());
    }
    let modes = [ReceiveMode::Discard, ReceiveMode::Read];
    let name = |mode| if mode == ReceiveMode::Read { "read" } else { "discard" };
    choice(reader, table, "receive", &modes, name)
}

/// Whether the kernel has it is known on the host alone; here, that it could be a name.
fn congestion_control(reader: &mut Reader<'_>, table: &DeTable<'_>) -> Option<String> {
    let (text, line) = reader.text(table, "stage", "congestion_control")?;
    let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if !(1..16).contains(&text.len()) || !text.chars().all(known) {
        let wrong = format!("{text:?} is no name of a congestion control");
        let help = "write for example \"cubic\", \"reno\" or \"bbr\"".to_owned();
        reader.fault(line, "stage.congestion_control", wrong, help);
        return None;
    }
    Some(text)
}

fn file(reader: &mut Reader<'_>, table: &DeTable<'_>) -> Option<u64> {
    if table.get("file").is_none() {
        return Some(FILE_BYTES);
    }
    let (text, line) = reader.text(table, "stage", "file")?;
    let bytes = volume(&text);
    if bytes.is_none() {
        let wrong = format!("`{text}` is no size of a file");
        let help =
            "write a number and kB, MB, GB, KiB, MiB or GiB, from \"64 KiB\" on, for example \"2 GiB\"";
        reader.fault(line, "stage.file", wrong, help.to_owned());
    }
    bytes
}

/// `2 GiB`, `500 MB`.
fn volume(text: &str) -> Option<u64> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let number: f64 = text[..unit_at].trim().parse().ok()?;
    let factor: f64 = match &text[unit_at..] {
        "kB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let bytes = (number * factor).round();
    (FILE_MIN_BYTES as f64..=FILE_MAX_BYTES as f64).contains(&bytes).then_some(bytes as u64)
}

fn frame_sizes(reader: &mut Reader<'_>, table: &DeTable<'_>) -> Option<Vec<FrameSize>> {
    if table.get("frame_sizes").is_none() {
        return Some(Vec::new());
    }
    let bounds = FRAME_MIN_BYTES..FRAME_MAX_BYTES + 1;
    let given = reader.counts_or(table, "stage", "frame_sizes", bounds, "mtu")?;
    if given.is_empty() || given.len() > FRAME_SIZES_MAX {
        let line = table.get("frame_sizes").map_or(0, |given| reader.line(given.span()));
        let wrong = format!("has {} sizes", given.len());
        let help = format!("write 1 to {FRAME_SIZES_MAX} sizes, for example [64, 512, \"mtu\"]");
        reader.fault(line, "stage.frame_sizes", wrong, help);
        return None;
    }
    Some(given.into_iter().map(|size| size.map_or(FrameSize::Mtu, FrameSize::Bytes)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::plan::draft;

    fn stage(keys: &str) -> Result<Vec<Carriage>, String> {
        let text = format!("# Sound?\nname = \"x\"\n[[stage]]\npattern = \"ring\"\nfor = \"1s\"\n{keys}");
        let scenario = draft::read("x.toml", &text).map_err(|faults| faults.to_string())?;
        Ok(scenario.stages[0].steps.iter().map(|dose| dose.carriage.clone()).collect())
    }

    #[test]
    fn a_stage_says_how_its_bytes_go() {
        type Case = (&'static str, &'static str);
        let cases: [Case; 9] = [
            ("", "tcp, 2 streams"),
            ("streams = 1\nlayout = \"vmsplice\"", "tcp, 1 stream, vmsplice"),
            ("verify = \"1/64\"", "tcp, 2 streams, verify 1/64"),
            ("verify = \"all\"", "tcp, 2 streams, verify all"),
            ("receive = \"read\"\ncongestion_control = \"bbr\"", "tcp, 2 streams, read, bbr"),
            ("connections_per_s = 200", "tcp, 200 new connections/s a flow"),
            ("transport = \"udp\"", "udp, 2 streams, trains"),
            ("transport = \"quic\"", "quic, 2 streams"),
            ("transport = \"scp\"\nfile = \"2 GiB\"", "scp"),
        ];
        for (keys, words) in cases {
            let read = stage(keys).unwrap_or_else(|faults| panic!("{keys}: {faults}"));
            assert_eq!(read[0].words(), words, "{keys}");
        }
        assert_eq!(
            stage("transport = \"scp\"\nfile = \"2 GiB\"").expect("sound")[0].file_bytes,
            Some(2 << 30)
        );
    }

    #[test]
    fn each_frame_size_is_a_step_of_its_own() {
        let steps =
            stage("transport = \"udp\"\nframe_sizes = [64, 1514]\nrate = \"20 Mb/s\"").expect("sound");
        let sizes: Vec<Option<u16>> = steps.iter().map(Carriage::frame_bytes).collect();
        assert_eq!(sizes, [Some(64), Some(1514)]);
        let steps = stage("transport = \"udp\"\nframe_sizes = [64, \"mtu\"]").expect("sound");
        assert_eq!(steps[1].frame_size_bytes, Some(FrameSize::Mtu));
    }

    #[test]
    fn what_does_not_go_together_is_named_with_the_way_out() {
        let cases = [
            ("transport = \"sctp\"", "`sctp` is no transport"),
            ("layout = \"mmap\"", "use write, sendfile, iovec, record32k, zerocopy, vmsplice"),
            ("transport = \"udp\"\nlayout = \"write\"", "goes with the transports tcp and this is `udp`"),
            ("transport = \"scp\"\nstreams = 2", "goes with the transports tcp, udp, quic"),
            ("verify = \"1/0\"", "is no share of the blocks"),
            ("verify = \"all\"\nreceive = \"read\"", "leave `receive` out"),
            ("transport = \"udp\"\nframe_sizes = [63]", "63 is out of bounds"),
            ("transport = \"udp\"\nframe_sizes = [64, \"mut\"]", "whole numbers or \"mtu\""),
            ("transport = \"udp\"\nframe_sizes = []", "has 0 sizes"),
            ("frame_sizes = [64]", "goes with the transports udp"),
            ("congestion_control = \"x; rm\"", "is no name of a congestion control"),
            ("connections_per_s = 5\nverify = \"all\"", "carry next to nothing"),
            ("transport = \"file\"\nfile = \"2 bananas\"", "is no size of a file"),
            ("rate = \"20 kpps\"", "goes with frame_sizes"),
        ];
        for (keys, said) in cases {
            let faults = stage(keys).expect_err(keys);
            assert!(faults.contains(said), "{keys}: {faults}");
        }
    }
}
