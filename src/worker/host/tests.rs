use std::fs;

use super::*;

/// The smallest recorded host: a link and nothing else.
fn bare() -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a folder");
    fs::create_dir(root.path().join("answers")).expect("made");
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hosts/ice/answers/route-link.hex");
    fs::copy(from, root.path().join("answers/route-link.hex")).expect("copied");
    root
}

#[test]
fn what_was_not_recorded_is_unread_and_neither_absent_nor_zero() {
    let root = bare();
    let facts = HostReader::recorded(root.path()).expect("a link").facts(Asked::Start);
    assert_eq!(facts.card.driver.unread(), Some("/answers/ethtool-drvinfo.hex is not there"));
    assert!(facts.card.link.known().is_some_and(|link| link.mtu == 9000));
    let counters = &facts.counters;
    assert!(counters.driver.is_empty() && counters.protocols.is_empty());
    for group in ["driver", "protocols", "softnet", "qdisc", "cpu", "pressure", "addresses"] {
        assert!(counters.unread.contains_key(group), "{group}: {:?}", counters.unread);
    }
    assert!(facts.boot_id.unread().is_some() && facts.machine.cores.unread().is_some());
}

#[test]
fn an_answer_that_is_not_understood_is_unread_with_the_reason() {
    let root = bare();
    fs::write(root.path().join("answers/ethtool-rings.hex"), "10000000ff").expect("written");
    fs::write(root.path().join("answers/ethtool-pause.hex"), "not hexadecimal").expect("written");
    fs::write(root.path().join("answers/ethtool-channels.hex"), "errno 95\n").expect("written");
    fs::write(root.path().join("answers/ethtool-coalesce.hex"), "errno 1\n").expect("written");
    let card = HostReader::recorded(root.path()).expect("a link").facts(Asked::Start).card;
    assert_eq!(card.rings.unread(), Some("ETHTOOL_GRINGPARAM lacks rx_max_pending"));
    assert_eq!(card.pause.unread(), Some("answers/ethtool-pause.hex is no list of hexadecimal digits"));
    assert_eq!(card.channels, Fact::Absent);
    assert!(card.coalesce.unread().is_some_and(|why| why.contains("Operation not permitted")), "{card:?}");
}

#[test]
fn a_folder_without_a_link_is_no_recorded_host() {
    let root = tempfile::tempdir().expect("a folder");
    let error = HostReader::recorded(root.path()).expect_err("nothing there");
    assert!(error.to_string().contains("it needs answers/route-link.hex"), "{error}");
}

#[test]
fn a_module_that_is_no_module_and_a_kernel_that_is_gone_are_told_apart() {
    let root = bare();
    let file = |path: &str, text: &str| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    };
    file("lib/modules/6.1.0/modules.builtin", "");
    file("lib/modules/6.1.0/modules.dep", "kernel/ice.ko.zst:\n");
    file("lib/modules/6.1.0/kernel/ice.ko.zst", "not packed");
    file("lib/modules/5.0.0/updates/dkms/ice.ko", "left behind by a removed kernel");
    file("proc/sys/kernel/osrelease", "6.1.0\n");
    let reader = HostReader::recorded(root.path()).expect("a link");
    let Fact::Known(kernels) = reader.kernels(Some("ice")) else { panic!("there is one") };
    assert_eq!(kernels.len(), 1);
    assert!(kernels[0].running && !kernels[0].headers);
    let why = kernels[0].module.unread().expect("not understood");
    assert!(why.starts_with("cannot unpack kernel/ice.ko.zst"), "{why}");
}
