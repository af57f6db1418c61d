//! What the peers printed on a real machine, and what is read out of it.

use proptest::prelude::*;

use super::*;

const IPERF3_TCP: &str = include_str!("iperf3-3.12-tcp.json");
const IPERF3_UDP: &str = include_str!("iperf3-3.12-udp.json");
const IPERF2_TCP: &str = "19700101000000,127.0.0.1,35688,127.0.0.1,5401,1,0.0-1.0,2864185404,22925152134\n";
const IPERF2_UDP: &str = "19700101000000,127.0.0.1,53377,127.0.0.1,5402,1,0.0-1.0,852579420,6820867269,\
                          0.000,31866,611852,5.208,0\n";
const NUTTCP: &str = "megabytes=1737.4375 real_seconds=1.00 rate_Mbps=14582.9652 tx_cpu=91 rx_cpu=34 \
                      retrans=0 rtt_ms=0.09\n";

#[test]
fn the_receiver_s_bytes_are_read_and_not_the_sender_s() {
    let tcp = iperf3(IPERF3_TCP, false).expect("as iperf3 3.12 prints it");
    assert_eq!(tcp, Received { bytes: 3_058_434_048, for_s: 1.000_897, datagrams: None });
    let udp = iperf3(IPERF3_UDP, true).expect("as iperf3 3.12 prints it");
    assert_eq!(udp, Received { bytes: 714_156_992, for_s: 1.003_68, datagrams: Some((485_161, 68_247)) });
    assert_eq!(udp.bytes / 1472, 485_161, "bytes are those that arrived");
}

#[test]
fn the_others_are_read_to_the_byte() {
    let tcp = iperf2(IPERF2_TCP).expect("as iperf 2.1.8 prints it");
    assert_eq!((tcp.bytes, tcp.datagrams), (2_864_185_404, None));
    assert!((tcp.for_s - 0.9995).abs() < 0.001, "{}", tcp.for_s);
    let udp = iperf2(IPERF2_UDP).expect("as iperf 2.1.8 prints it");
    assert_eq!((udp.bytes, udp.datagrams), (852_579_420, Some((579_986, 31_866))));
    assert_eq!(udp.bytes / 1470, 579_986);
    let other = nuttcp(NUTTCP).expect("as nuttcp 6.1.2 prints it");
    assert_eq!(other.bytes, 1_821_835_264);
    assert!((other.for_s - 0.9994).abs() < 0.001, "{}", other.for_s);
}

#[test]
fn a_missing_field_is_an_error_that_names_it() {
    let error = |result: Result<Received, BenchError>| result.expect_err("it lacks a field").to_string();
    assert!(error(iperf3("{}", false)).contains("end.sum_received.bytes"));
    assert!(error(iperf3(IPERF3_TCP, true)).contains("packets"), "TCP output where UDP was run");
    assert!(error(iperf3("iperf3: error", false)).contains("JSON"));
    assert!(error(iperf2("1,2,3")).contains("bytes"));
    assert!(error(nuttcp("megabytes=1.0")).contains("rate_Mbps"));
}

#[test]
fn versions_compare_by_their_numbers() {
    let cases = [
        ("iperf 3.12 (cJSON 1.7.15)", Some((3, 12))),
        ("iperf 3.21+ (cJSON 1.7.15)", Some((3, 21))),
        ("iperf version 2.1.8 (12 August 2022) pthreads", Some((2, 1))),
        ("nuttcp-6.1.2", Some((6, 1))),
        ("unknown", None),
    ];
    for (line, number) in cases {
        assert_eq!(version_number(line), number, "{line}");
    }
}

#[test]
fn commands_are_those_of_the_reference() {
    let run = PeerRun { peer: Peer::Iperf3, options: &["-l", "1M"], since: None };
    let told = run.told("10.201.1.2:5301".parse().unwrap(), 2);
    assert_eq!(told, "iperf3 -s -1 -p 5301 / iperf3 -c 10.201.1.2 -p 5301 -t 2 -J -i 0 -l 1M");
    let run = PeerRun { peer: Peer::Nuttcp, options: &["-l1m"], since: None };
    let told = run.told("10.201.1.2:5500".parse().unwrap(), 2);
    assert_eq!(told, "nuttcp -S --nofork -1 -P5500 / nuttcp -P5500 -p5501 -t -T2 -fparse -l1m 10.201.1.2");
}

proptest! {
    #[test]
    fn no_text_makes_a_parser_panic(text in ".*", udp: bool) {
        let _ = (iperf3(&text, udp), iperf2(&text), nuttcp(&text), version_number(&text));
    }

    #[test]
    fn no_row_of_fields_makes_a_parser_panic(fields in prop::collection::vec("[0-9]{0,25}", 0..16)) {
        let _ = iperf2(&fields.join(","));
    }
}
