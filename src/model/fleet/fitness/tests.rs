use super::*;

fn good() -> Readings {
    Readings {
        kernel: Ok("6.8.0-45-generic".to_owned()),
        open_files: Ok((1024, 1_048_576)),
        locked_bytes: Ok(Some(8 << 20)),
        rmem_max: Ok(7_500_000),
        wmem_max: Ok(7_500_000),
        user_namespaces: Ok(None),
        root: false,
        tools: vec![("ip", true), ("nft", true), ("ssh", true)],
        clock_synchronised: Ok(true),
        disk_free_bytes: Ok(10 << 30),
        capabilities: Ok(CAP_NET_ADMIN | CAP_SYSLOG),
        dmesg_restrict: Ok(true),
        congestion_controls: Ok(vec!["reno".to_owned(), "cubic".to_owned()]),
        default_qdisc: Ok("fq_codel".to_owned()),
        throttled: Ok(None),
        ports: vec![("port 7440/udp".to_owned(), Ok(()))],
    }
}

fn not_ok(readings: &Readings) -> Vec<(String, Level)> {
    let checks = checks(readings);
    for check in &checks {
        assert_eq!(check.remedy.is_empty(), check.level == Level::Ok, "{check:?}");
        assert!(!check.value.is_empty() && !check.limit.is_empty(), "{check:?}");
    }
    let off = checks.into_iter().filter(|check| check.level != Level::Ok);
    off.map(|check| (check.name, check.level)).collect()
}

#[test]
fn a_good_host_has_nothing_to_mend() {
    assert_eq!(not_ok(&good()), []);
    assert!(is_fit(&checks(&good())));
}

#[test]
fn what_stops_a_run_is_bad_and_what_only_limits_it_a_warning() {
    let cases: Vec<(&str, Level, Readings)> = vec![
        ("kernel", Level::Bad, Readings { kernel: Ok("3.13.0-24-generic".to_owned()), ..good() }),
        ("kernel", Level::Warn, Readings { kernel: Ok("4.18.0-553.el8".to_owned()), ..good() }),
        ("kernel", Level::Warn, Readings { kernel: Ok("unnamed".to_owned()), ..good() }),
        ("open files", Level::Bad, Readings { open_files: Ok((256, 512)), ..good() }),
        ("open files", Level::Warn, Readings { open_files: Ok((256, 2048)), ..good() }),
        ("locked memory", Level::Warn, Readings { locked_bytes: Ok(Some(65_536)), ..good() }),
        ("rmem_max", Level::Warn, Readings { rmem_max: Ok(212_992), ..good() }),
        (
            "congestion control",
            Level::Warn,
            Readings { congestion_controls: Ok(vec!["reno".to_owned()]), ..good() },
        ),
        (
            "congestion control",
            Level::Bad,
            Readings { congestion_controls: Ok(vec!["bbr".to_owned()]), ..good() },
        ),
        ("CPU quota", Level::Warn, Readings { throttled: Ok(Some((30, 100))), ..good() }),
        (
            "user namespaces",
            Level::Warn,
            Readings { user_namespaces: Ok(Some("forbidden".to_owned())), ..good() },
        ),
        ("nft", Level::Warn, Readings { tools: vec![("nft", false)], ..good() }),
        ("clock", Level::Warn, Readings { clock_synchronised: Ok(false), ..good() }),
        ("disk", Level::Bad, Readings { disk_free_bytes: Ok(1 << 20), ..good() }),
        (
            "port 1/udp",
            Level::Bad,
            Readings { ports: vec![("port 1/udp".to_owned(), Err("in use".to_owned()))], ..good() },
        ),
    ];
    for (name, level, readings) in cases {
        assert_eq!(not_ok(&readings), [(name.to_owned(), level)]);
        assert_eq!(is_fit(&checks(&readings)), level != Level::Bad, "{name}");
    }
}

#[test]
fn rights_are_missed_one_by_one() {
    let plain = Readings { capabilities: Ok(0), ..good() };
    assert_eq!(
        not_ok(&plain),
        [("CAP_NET_ADMIN".to_owned(), Level::Warn), ("kernel log".to_owned(), Level::Warn)]
    );
    let open = Readings { dmesg_restrict: Ok(false), ..plain };
    assert_eq!(not_ok(&open), [("CAP_NET_ADMIN".to_owned(), Level::Warn)]);
}

#[test]
fn what_cannot_be_read_is_a_warning_with_its_reason_and_never_a_zero() {
    let dark = Readings { disk_free_bytes: Err("no such folder".to_owned()), ..good() };
    let checks = checks(&dark);
    let disk = checks.iter().find(|check| check.name == "disk").expect("it is told");
    assert_eq!((disk.level, disk.value.as_str()), (Level::Warn, "not read: no such folder"));
}

#[test]
fn an_unused_quota_or_one_without_periods_is_fine() {
    assert_eq!(not_ok(&Readings { throttled: Ok(Some((0, 0))), ..good() }), []);
}
