//! What a lab promises, on real namespaces: its links carry what they say, every fault does
//! what its name says and nothing more, and nothing is left behind.
//!
//! These need root (threads of a test cannot enter another user namespace), iproute2 and
//! nftables, and fail without them. One runs at a time: two at once would share two cores.

#![expect(clippy::unwrap_used, reason = "what cannot be had fails the test")]

#[path = "lab/support.rs"]
mod support;

use std::{
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nicburn::{
    lab::{
        client::{self, Lab},
        demo_fault,
        protocol::WorkerState,
        spec::{Control, LabSpec},
    },
    model::fleet::units::BitRate,
    sys::carrier::index_of,
};
use support::{
    BUILD_EXE, Pace, alone, break_it, exchange, flow, inside, lab, mbps, run_ip, until_carrier, wait_until,
    watch_eth0,
};

const SECOND: Duration = Duration::from_secs(1);

fn four() -> LabSpec {
    LabSpec { hosts: 4, ttl_s: 120, ..LabSpec::default() }
}

#[test]
fn hosts_reach_each_other_and_the_coordinator() {
    let _alone = alone();
    let lab = lab(&four());
    assert_eq!(exchange(&lab, &four(), 1, 4, 20), 20);
    let spec = four();
    let listener = std::thread::scope(|scope| {
        let enter = || {
            lab.enter_coordinator().expect("entering the coordinator's place");
            TcpListener::bind((lab.coordinator_addr(), 0)).expect("listening where the coordinator stands")
        };
        scope.spawn(enter).join().unwrap()
    });
    let addr = listener.local_addr().unwrap();
    let stream = inside(&lab, 2, || TcpStream::connect_timeout(&addr, SECOND))
        .expect("a worker reaches the coordinator");
    assert_eq!(stream.local_addr().unwrap().ip(), spec.host_addr(2));
    lab.down().unwrap();
}

#[test]
fn a_link_carries_its_rate_both_ways() {
    let _alone = alone();
    let lab = lab(&four());
    for (from, to) in [(1, 2), (2, 1)] {
        let slots = flow(&lab, &four(), from, to, Pace::Full, 3 * SECOND);
        let rate = mbps(&slots[10..]);
        assert!(
            (54.0..=60.5).contains(&rate),
            "h{from} to h{to} carried {rate:.1} Mb/s on NICs of 60 Mb/s: {slots:?}"
        );
    }
}

#[test]
fn dies_above_kills_for_its_time_and_only_above_its_rate() {
    let _alone = alone();
    let lab = lab(&four());
    break_it(&lab, "dies_above@h2,rate=36M,for=1s");
    let slots = flow(&lab, &four(), 1, 2, Pace::Mbps(20), 4 * SECOND);
    let rate = mbps(&slots[5..]);
    assert!((17.0..=21.0).contains(&rate), "20 Mb/s is below 36: {rate:.1} Mb/s came, {slots:?}");
    let slots = flow(&lab, &four(), 1, 2, Pace::Full, 6 * SECOND);
    let (begin, length) = support::longest_silence(&slots);
    assert!((10..=30).contains(&begin), "full load should trip the fault after 1.5 s: {slots:?}");
    assert!((9..=25).contains(&length), "it should be silent for 1 s and a time-out of TCP: {slots:?}");
    assert!(slots[begin + length..].iter().sum::<u64>() > 500_000, "it should come back: {slots:?}");
    let slots = flow(&lab, &four(), 3, 4, Pace::Full, SECOND);
    assert!(mbps(&slots) > 40.0, "others are untouched: {slots:?}");
}

#[test]
fn dies_until_bounce_stays_dead_until_the_host_bounces_its_link() {
    let _alone = alone();
    let lab = lab(&four());
    break_it(&lab, "dies_until_bounce@h2,rate=30M");
    let slots = flow(&lab, &four(), 2, 1, Pace::Full, 4 * SECOND);
    assert_eq!(slots[30..].iter().sum::<u64>(), 0, "it should be dead after 1 s of full load: {slots:?}");
    assert_eq!(exchange(&lab, &four(), 1, 2, 5), 0, "dead is dead, without load too");
    run_ip(&lab, 2, &["link", "set", "eth0", "down"]);
    run_ip(&lab, 2, &["link", "set", "eth0", "up"]);
    wait_until("the bounced link carries again", 5 * SECOND, || exchange(&lab, &four(), 1, 2, 1) == 1);
}

#[test]
fn dies_after_bytes_lets_so_many_through_and_no_more() {
    let _alone = alone();
    let lab = lab(&four());
    break_it(&lab, "dies_after_bytes@h3,bytes=2MB");
    let slots = flow(&lab, &four(), 3, 1, Pace::Full, 2 * SECOND);
    let bytes: u64 = slots.iter().sum();
    // Headers count towards the limit and not towards the goodput.
    assert!((1_800_000..=2_000_000).contains(&bytes), "{bytes} of 2 MB came through");
}

#[test]
fn dead_is_silent_for_its_time_and_unfault_ends_it() {
    let _alone = alone();
    let lab = lab(&four());
    assert_eq!(exchange(&lab, &four(), 1, 2, 3), 3);
    let number = break_it(&lab, "dead@h2");
    assert_eq!(exchange(&lab, &four(), 1, 2, 3), 0);
    lab.unfault(number).unwrap();
    assert_eq!(exchange(&lab, &four(), 1, 2, 3), 3, "taken back, it is as before");
    let again = lab.unfault(number).expect_err("it is over");
    assert!(again.to_string().contains("over already"), "{again}");
    break_it(&lab, "dead@h2,for=500ms,after=300ms");
    assert_eq!(exchange(&lab, &four(), 1, 2, 1), 1, "it has not begun");
    wait_until("the planned fault begins", SECOND, || exchange(&lab, &four(), 1, 2, 1) == 0);
    wait_until("it ends by itself", 2 * SECOND, || exchange(&lab, &four(), 1, 2, 1) == 1);
    wait_until("its end is noted", SECOND, || lab.status().unwrap().fault_states[1].over_at_s.is_some());
    assert_eq!(lab.status().unwrap().fault_states[1].trouble, None);
}

#[test]
fn one_way_dead_is_dead_one_way() {
    let _alone = alone();
    for (direction, out, back) in [("tx", false, true), ("rx", true, false)] {
        let lab = lab(&four());
        // Neighbours know each other first: asking needs both ways.
        assert_eq!(exchange(&lab, &four(), 1, 2, 2), 2);
        break_it(&lab, &format!("one_way_dead@h1,direction={direction}"));
        let (sent, got) =
            (support::one_way(&lab, &four(), 1, 2, 20), support::one_way(&lab, &four(), 2, 1, 20));
        assert_eq!((sent == 20, got == 20), (out, back), "{direction}: {sent} out, {got} back");
        assert!(sent + got == 20, "{direction}: {sent} out, {got} back");
    }
}

#[test]
fn a_cable_that_is_out_shows_at_the_carrier_and_comes_back() {
    let _alone = alone();
    let lab = lab(&four());
    let watch = watch_eth0(&lab, 2);
    break_it(&lab, "cable_out@h2,for=1500ms");
    until_carrier(&watch, false);
    assert_eq!(exchange(&lab, &four(), 1, 2, 2), 0);
    until_carrier(&watch, true);
    wait_until("it carries again", 3 * SECOND, || exchange(&lab, &four(), 1, 2, 1) == 1);
}

#[test]
fn a_flapping_link_goes_and_comes_as_often_as_told() {
    let _alone = alone();
    let lab = lab(&four());
    let watch = watch_eth0(&lab, 4);
    break_it(&lab, "flap@h4,times=2,down=1.2s,up=1.5s");
    for up in [false, true, false, true] {
        until_carrier(&watch, up);
    }
    wait_until("its end is noted", 3 * SECOND, || lab.status().unwrap().fault_states[0].over_at_s.is_some());
}

#[test]
fn a_slow_nic_is_slow_where_told_and_fast_again_afterwards() {
    let _alone = alone();
    let lab = lab(&four());
    // From the first byte on: after a loss a receiver hands out half a second's bytes at
    // once, and a window that begins there would hold more than the link carried in it.
    let rate = |from, to| mbps(&flow(&lab, &four(), from, to, Pace::Full, 3 * SECOND));
    let number = break_it(&lab, "slow@h1,direction=rx,factor=0.5");
    let (slow, well) = (rate(2, 1), rate(1, 2));
    assert!((25.0..=30.5).contains(&slow) && well > 50.0, "receives {slow:.1}, sends {well:.1} Mb/s");
    lab.unfault(number).unwrap();
    break_it(&lab, "slow@h1,direction=tx,rate=20M");
    let (well, slow) = (rate(2, 1), rate(1, 2));
    assert!((16.0..=20.5).contains(&slow) && well > 50.0, "receives {well:.1}, sends {slow:.1} Mb/s");
}

#[test]
fn loss_loses_its_share_in_its_direction() {
    let _alone = alone();
    let lab = lab(&four());
    assert_eq!(exchange(&lab, &four(), 1, 2, 2), 2);
    break_it(&lab, "loss@h1,direction=tx,percent=10");
    let came = support::one_way(&lab, &four(), 1, 2, 2000);
    // Five standard deviations of 2000 draws at 10 %.
    assert!((1733..=1867).contains(&came), "{came} of 2000 came at 10 % loss");
    assert_eq!(support::one_way(&lab, &four(), 2, 1, 2000), 2000, "the other direction is well");
}

/// A stand-in for a worker that only stays.
fn idle_worker(folder: &Path) -> PathBuf {
    script(folder, "idle", "echo \"$@\" >&2\nexec sleep 100")
}

fn script(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn freeze_stops_the_worker_and_kill_kills_it() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let spec = LabSpec { racks: 2, ..four() };
    let lab = lab(&spec);
    let refused = lab.fault(&"kill@h1".parse().unwrap()).expect_err("there is no worker");
    assert_eq!(refused.to_string(), "h1 has no worker that could be stopped or killed");
    lab.start_workers(&idle_worker(folder.path()), Path::new("/run/join.json"), folder.path()).unwrap();
    let workers = lab.workers().unwrap();
    assert!(workers.len() == 4 && workers.iter().all(WorkerState::is_running), "{workers:?}");
    let log = folder.path().join("h4.log");
    wait_until("the worker was told who it is", 5 * SECOND, || {
        std::fs::read_to_string(&log).unwrap().contains('\n')
    });
    assert_eq!(
        std::fs::read_to_string(&log).unwrap(),
        "worker --join /run/join.json --name h4 --iface eth0 --no-ceiling --label rack=r2\n"
    );
    let pid = workers[1].pid;
    break_it(&lab, "freeze@h2,for=500ms");
    wait_until("the worker is stopped", SECOND, || support::process_state(pid) == Some('T'));
    wait_until("the worker goes on", 2 * SECOND, || support::process_state(pid) == Some('S'));
    break_it(&lab, "kill@h2");
    wait_until("the worker is dead", SECOND, || lab.workers().unwrap()[1].signal == Some(9));
    assert!(lab.start_worker(2).unwrap()[1].is_running(), "it can be started again");
}

#[test]
fn a_killed_holder_leaves_no_process_and_no_link() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let lab = lab(&four());
    lab.start_workers(&idle_worker(folder.path()), Path::new("/run/join.json"), folder.path()).unwrap();
    let pids: Vec<i32> = lab.workers().unwrap().iter().map(|worker| worker.pid).collect();
    let host = lab.namespace("h1").unwrap();
    let holder = rustix::process::Pid::from_raw(lab.holder_pid()).unwrap();
    rustix::process::kill_process(holder, rustix::process::Signal::KILL).unwrap();
    wait_until("every worker is gone", 2 * SECOND, || {
        pids.iter().all(|pid| matches!(support::process_state(*pid), None | Some('Z')))
    });
    // The far end of h1's cable was in the switch: the kernel removes both with it.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            host.enter().unwrap();
            wait_until("the switch is gone", 2 * SECOND, || index_of("eth0").is_err());
        });
    });
    let lost = lab.status().expect_err("nobody holds the lab");
    assert!(lost.to_string().contains("holder"), "{lost}");
}

#[test]
fn a_dropped_lab_ends_its_holder() {
    let _alone = alone();
    let lab = lab(&four());
    let pid = lab.holder_pid();
    drop(lab);
    assert_eq!(support::process_state(pid), None);
}

#[test]
fn a_detached_lab_is_found_commanded_and_ended() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let state_dir = folder.path().to_owned();
    let spec =
        LabSpec { hosts: 2, detached: true, ttl_s: 60, state_dir, name: "t1".into(), ..LabSpec::default() };
    drop(lab(&spec));
    let names =
        || client::list(folder.path()).unwrap().into_iter().map(|status| status.name).collect::<Vec<_>>();
    assert_eq!(names(), ["t1"]);
    let twice = Lab::start(Path::new(BUILD_EXE), &spec).expect_err("the name is taken");
    assert!(twice.to_string().contains("is up already"), "{twice}");
    let attached = client::attach(folder.path(), "t1").unwrap();
    break_it(&attached, "dead@h2");
    assert_eq!(exchange(&attached, &spec, 1, 2, 2), 0);
    assert!(client::list(folder.path()).unwrap()[0].faults[0].contains("silent both ways"));
    attached.down().unwrap();
    wait_until("the lab is gone", 2 * SECOND, || names().is_empty());

    let attached = lab(&spec);
    let holder = rustix::process::Pid::from_raw(attached.holder_pid()).unwrap();
    rustix::process::kill_process(holder, rustix::process::Signal::KILL).unwrap();
    wait_until("a killed lab is no longer listed", 2 * SECOND, || names().is_empty());
    assert!(client::attach(folder.path(), "t1").is_err());
}

#[test]
fn a_lab_ends_after_its_time_to_live() {
    let _alone = alone();
    let lab = lab(&LabSpec { ttl_s: 1, ..four() });
    let began = Instant::now();
    wait_until("the lab ends by itself", 3 * SECOND, || lab.status().is_err());
    assert!(began.elapsed() > SECOND / 2, "it lived for {:?}", began.elapsed());
}

#[test]
fn two_racks_meet_in_the_uplink_and_control_has_a_network_of_its_own() {
    let _alone = alone();
    let uplink = Some(BitRate::from_mbps(30));
    let spec = LabSpec { racks: 2, uplink, ipv6: true, control: Control::Separate, ..four() };
    let lab = lab(&spec);
    let within = mbps(&flow(&lab, &spec, 1, 2, Pace::Full, 3 * SECOND));
    let across = mbps(&flow(&lab, &spec, 1, 4, Pace::Full, 3 * SECOND));
    assert!(within > 50.0 && (25.0..=30.5).contains(&across), "{within:.1} within, {across:.1} Mb/s across");
    break_it(&lab, "dead@h1");
    let listener = support::in_coordinator(&lab, || TcpListener::bind((lab.coordinator_addr(), 0)).unwrap());
    let addr = listener.local_addr().unwrap();
    inside(&lab, 1, || TcpStream::connect_timeout(&addr, SECOND))
        .expect("control lives though the NIC is dead");
}

#[test]
fn a_plain_user_has_labs_too() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let copy = folder.path().join("nicburn");
    std::fs::copy(BUILD_EXE, &copy).unwrap();
    let call =
        format!("cd /\nexec setpriv --reuid=65534 --regid=65534 --clear-groups {} \"$@\"", copy.display());
    let exe = script(folder.path(), "as-nobody", &call);
    let spec = LabSpec { hosts: 2, ttl_s: 60, ..LabSpec::default() };
    let lab = Lab::start(&exe, &spec).expect("a user namespace for nobody");
    assert_eq!(exchange(&lab, &spec, 1, 2, 3), 3);
    break_it(&lab, "dead@h2");
    assert_eq!(exchange(&lab, &spec, 1, 2, 3), 0);
}

#[test]
fn the_demos_sick_host_survives_calibration_and_dies_in_the_storm() {
    let _alone = alone();
    let spec = LabSpec { ttl_s: 120, ..LabSpec::default() };
    let lab = lab(&spec);
    let fault = demo_fault(7, &spec);
    let sick = fault.place.hosts().next().expect("a host");
    lab.fault(&fault).unwrap();
    let brief = support::storm(&lab, &spec, sick, Duration::from_millis(600));
    assert!(brief.iter().rev().take(2).all(|bytes| *bytes > 0), "0.6 s must not trip it: {brief:?}");
    for _ in 0..2 {
        let slots = support::storm(&lab, &spec, sick, 5 * SECOND);
        let (begin, length) = support::longest_silence(&slots);
        assert!((8..=32).contains(&begin), "dead after {begin} slots of 100 ms: {slots:?}");
        assert!(length >= 10, "silent for {length} slots: {slots:?}");
        // What is dead at the end of a storm is back before the next one.
        wait_until("it is back", 5 * SECOND, || exchange(&lab, &spec, sick, sick % 8 + 1, 1) == 1);
    }
}
