use super::*;
use crate::model::{
    judge::{
        loss, rack,
        summary::{HostSummary, Verdict},
        tests::{
            field::Field,
            story::{Story, ZERO_SLOT, own_kernels},
        },
        verdict::judge,
    },
    record::{
        book::Record,
        few::Few,
        line::{Body, HostSeen},
    },
};

const SICK: usize = 2;
const ROUNDS: u64 = 28;

/// What a kernel counts in a second.
fn counted(second: u64, steps: &[(&str, i64)]) -> Body {
    let since = RunTime::of_slot(ZERO_SLOT + 10 * second);
    let moved = steps.iter().map(|(name, step)| ((*name).into(), *step)).collect();
    Body::Counters(Box::new(CountersMoved { since, moved, ..CountersMoved::default() }))
}

/// Eight hosts in pairs, one of them at half its rate; what kernels count in each second.
fn slow(told: impl Fn(usize, u64) -> Option<Body>) -> Record {
    let story = Story::pairs_one_way(8, 10).slow(SICK, true, true, 0.5);
    let told = (0..8)
        .flat_map(|host| (0..ROUNDS).map(move |second| (host, second)))
        .filter_map(|(host, second)| Some((host, second, told(host, second)?)));
    told.fold(story, |story, (host, second, body)| story.tells(host, 10 * second + 10, body)).record()
}

fn sick(record: &Record) -> HostSummary {
    judge(record).hosts.swap_remove(SICK)
}

#[test]
fn who_is_slow_while_its_cores_were_short_is_no_slow_card() {
    type Case = (&'static str, &'static [(&'static str, i64)], Verdict);
    let steps: &[Case] = &[
        ("nothing", &[], Verdict::Fail),
        (
            "one core in soft interrupts",
            &[("cpu.cpu1.softirq", 97), ("cpu.cpu0.softirq", 3)],
            Verdict::Inconclusive,
        ),
        ("cores at half in them", &[("cpu.cpu0.softirq", 50), ("cpu.cpu1.softirq", 50)], Verdict::Fail),
        ("waited for a core", &[("cpu.pressure.cpu.some", 450_000)], Verdict::Inconclusive),
        ("waited a little", &[("cpu.pressure.cpu.some", 150_000)], Verdict::Fail),
        ("waited for memory", &[("cpu.pressure.memory.some", 900_000)], Verdict::Fail),
        ("no room in its backlog", &[("softnet.dropped", 200)], Verdict::Inconclusive),
        ("three dropped", &[("softnet.dropped", 3)], Verdict::Fail),
        ("a counter that was reset", &[("softnet.dropped", -200)], Verdict::Fail),
    ];
    for (name, steps, want) in steps {
        let calm: &[(&str, i64)] = &[("protocols.Tcp.InSegs", 9)];
        let record = slow(|host, second| Some(counted(second, if host == SICK { steps } else { calm })));
        let found = sick(&own_kernels(record.clone()));
        assert_eq!(found.verdict, *want, "{name}: {:#?}", found.findings);
        let limited = found.findings.iter().any(|finding| finding.kind == FindingKind::HostLimited);
        assert_eq!(limited, *want == Verdict::Inconclusive, "{name}");
        assert_eq!(sick(&record).verdict, Verdict::Fail, "{name}, on a kernel that all share");
    }
}

#[test]
fn time_that_a_hypervisor_took_is_not_the_card_s() {
    let stolen = |share: f32| {
        let state = HostSeen { cpu: Some((0.5, share)), ..HostSeen::default() };
        Body::Host(std::sync::Arc::new(state))
    };
    for (share, want) in [(0.08, Verdict::Inconclusive), (0.02, Verdict::Fail)] {
        let record = slow(|host, _| Some(stolen(if host == SICK { share } else { 0.0 })));
        assert_eq!(sick(&own_kernels(record)).verdict, want, "{share} was stolen");
    }
}

#[test]
fn what_all_have_or_hardly_ever_is_no_excuse() {
    let pressed = |second| counted(second, &[("cpu.pressure.cpu.some", 900_000)]);
    let calm = |second| counted(second, &[("protocols.Tcp.InSegs", 9)]);
    let all = slow(|_, second| Some(pressed(second)));
    assert_eq!(sick(&own_kernels(all)).verdict, Verdict::Fail, "all are as busy");
    let alone = slow(|host, second| (host == SICK).then(|| pressed(second)));
    assert_eq!(sick(&own_kernels(alone)).verdict, Verdict::Fail, "its peers' cores are not known");
    let a_third = slow(|host, second| {
        Some(if host == SICK && second % 3 == 0 { pressed(second) } else { calm(second) })
    });
    assert_eq!(sick(&own_kernels(a_third)).verdict, Verdict::Fail, "a third of its seconds");
    let healthy = (0..ROUNDS).fold(Story::pairs_one_way(8, 10), |story, second| {
        story.tells(SICK, 10 * second + 10, pressed(second))
    });
    assert_eq!(sick(&own_kernels(healthy.record())).verdict, Verdict::Pass, "nothing tells against it");
}

/// TCP at half load, of which a host's kernel drops some that its card had delivered.
#[test]
fn packets_that_the_kernel_dropped_are_no_loss_of_the_card() {
    for (dropped, want) in
        [(0, FindingKind::PacketLoss), (5, FindingKind::PacketLoss), (40, FindingKind::HostLimited)]
    {
        let mut field = Field::of(8);
        field.paced(|_, to| if to == 3 { 0.01 } else { 0.0 });
        for round in field.seen.rounds.clone() {
            let receives = round.by_host.get(&HostId(3)).is_some_and(|part| !part.rx.is_empty());
            let (since, at) = (RunTime::of_slot(round.start), RunTime::of_slot(round.end));
            let moved = Few::from_iter([("softnet.dropped".into(), if receives { dropped } else { 0 })]);
            let body = Body::Counters(Box::new(CountersMoved { since, moved, ..CountersMoved::default() }));
            field.take(4, at, body);
        }
        let (crossings, paced) = rack::Crossings::of(&field.seen, &rack::Racks::of(&field.seen), &[]);
        let found = loss::findings(&field.seen, &paced, &crossings);
        let kinds: Vec<(u16, FindingKind)> =
            found.iter().map(|(host, finding)| (host.0, finding.kind)).collect();
        assert_eq!(kinds, [(3, want)], "{dropped} dropped of some 50 lost in each round");
    }
}

#[test]
fn what_a_kernel_dropped_of_what_came_is_no_reason_for_what_is_sent() {
    let told = |second, host| {
        let step = if host == SICK { ("softnet.dropped", 200) } else { ("protocols.Tcp.InSegs", 9) };
        counted(second, &[step])
    };
    for (tx, rx, want) in [(true, false, Verdict::Fail), (false, true, Verdict::Inconclusive)] {
        let story = Story::pairs_one_way(8, 10).slow(SICK, tx, rx, 0.5);
        let all = (0..8).flat_map(|host| (0..ROUNDS).map(move |second| (host, second)));
        let tell = |story: Story, (host, second)| story.tells(host, 10 * second + 10, told(second, host));
        let record = own_kernels(all.fold(story, tell).record());
        assert_eq!(sick(&record).verdict, want, "slow in sending: {tx}");
    }
}

#[test]
fn a_reading_counts_for_the_part_of_it_that_lies_in_a_round() {
    let mut field = Field::of(4);
    field.paced(|_, _| 0.0);
    let round = &field.seen.rounds[0];
    let (since, at) = (RunTime::of_slot(round.end - 5), RunTime::of_slot(round.end + 5));
    let moved = Few::from_iter([("softnet.dropped".into(), 100)]);
    field.take(1, at, Body::Counters(Box::new(CountersMoved { since, moved, ..CountersMoved::default() })));
    assert_eq!(dropped_in(&field.seen, HostId(0), &BTreeSet::from([0])), 50);
    assert_eq!(dropped_in(&field.seen, HostId(1), &BTreeSet::from([0])), 0);
}
