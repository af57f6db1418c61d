//! Policy text → checked [`Policy`]: every fault in one pass, with its line and a way out.

use toml::de::{DeTable, DeValue};

use super::{
    super::draft::{Faults, reader::Reader},
    Clause, Demand, Gravity, Policy, Scope, offload,
};
use crate::model::fleet::units::BitRate;

/// Demands that are keys by themselves.
const KEYS: &[&str] = &[
    "driver",
    "driver_version_min",
    "firmware_min",
    "kernel_min",
    "mtu",
    "link_speed_min",
    "rings",
    "channels",
    "offloads",
];

/// Keys for which a severity of their own can be given; of offloads for all together.
const GRADED: &[&str] = &[
    "driver",
    "driver_version_min",
    "firmware_min",
    "kernel_min",
    "mtu",
    "link_speed_min",
    "rings.rx_min",
    "rings.tx_min",
    "channels.combined_min",
    "offloads",
];

/// A key, and what a value of it demands.
type Key<T> = (&'static str, fn(T) -> Demand);

/// An MTU that the kernel takes for some interface.
const MTU: std::ops::Range<u32> = 68..65_536;

/// Counts of queues and descriptors.
const COUNT: std::ops::Range<u32> = 1..1_000_001;

pub(super) fn read(of: &str, text: &str) -> Result<Policy, Faults> {
    let mut reader = Reader::new(of, text);
    let mut policy = Policy::default();
    if let Some(root) = reader.root("see docs/audit.md for the form of a policy") {
        file(&mut reader, root.get_ref(), &mut policy);
    }
    if reader.is_sound() && policy.clauses.is_empty() {
        reader.missing("policy", "a demand, for example: driver = \"ena\"");
    }
    if reader.is_sound() { Ok(policy) } else { Err(reader.into_faults()) }
}

fn file(reader: &mut Reader<'_>, root: &DeTable<'_>, policy: &mut Policy) {
    let known: Vec<&str> = KEYS.iter().copied().chain(["severity", "for"]).collect();
    reader.only_keys(root, "", &known);
    let grades = grades(reader, root);
    demands(reader, root, "", &Scope::default(), &grades, &mut policy.clauses);
    let Some(sections) = root.get("for") else { return };
    let line = reader.line(sections.span());
    let Some(sections) = sections.get_ref().as_array() else {
        reader.fault(line, "for", "is not a list of tables".to_owned(), "write [[for]]".to_owned());
        return;
    };
    for section in sections {
        let line = reader.line(section.span());
        match section.get_ref().as_table() {
            Some(table) => self::section(reader, table, line, &grades, &mut policy.clauses),
            None => reader.fault(line, "for", "is not a table".to_owned(), "write [[for]]".to_owned()),
        }
    }
}

/// One `[[for]]`: whose, and what is required of them.
fn section(
    reader: &mut Reader<'_>,
    table: &DeTable<'_>,
    line: usize,
    grades: &Grades,
    clauses: &mut Vec<Clause>,
) {
    reader.only_keys(table, "for", &["host", "driver", "product", "require"]);
    let mut pattern = |key| reader.text(table, "for", key).map(|(text, _)| text);
    let scope = Scope { host: pattern("host"), driver: pattern("driver"), product: pattern("product") };
    if scope == Scope::default() {
        let help = "add host = \"db-*\", driver = \"ena\" or product = \"c5*\"".to_owned();
        reader.fault(line, "for", "says of which hosts nothing".to_owned(), help);
    }
    let Some(required) = table.get("require").and_then(|value| value.get_ref().as_table()) else {
        let help = "add require.mtu = 9001, or any other demand".to_owned();
        reader.fault(line, "for.require", "is missing or no table".to_owned(), help);
        return;
    };
    reader.only_keys(required, "for.require", KEYS);
    demands(reader, required, "for.require", &scope, grades, clauses);
}

/// Severities: of all, and of single keys.
struct Grades {
    all: Gravity,
    of: Vec<(String, Gravity)>,
}

impl Grades {
    fn of(&self, demand: &Demand) -> Gravity {
        let key = demand.key();
        let group = if matches!(demand, Demand::Offload(..)) { "offloads" } else { &key };
        self.of.iter().find(|(graded, _)| graded == group).map_or(self.all, |(_, gravity)| *gravity)
    }
}

/// `severity = "warn"`, or `[severity]` with `default` and keys.
fn grades(reader: &mut Reader<'_>, root: &DeTable<'_>) -> Grades {
    let mut grades = Grades { all: Gravity::default(), of: Vec::new() };
    let Some(value) = root.get("severity") else { return grades };
    let Some(table) = value.get_ref().as_table() else {
        grades.all = gravity(reader, root, "", "severity").unwrap_or_default();
        return grades;
    };
    let known: Vec<&str> = GRADED.iter().copied().chain(["default"]).collect();
    reader.only_keys(table, "severity", &known);
    if table.contains_key("default") {
        grades.all = gravity(reader, table, "severity", "default").unwrap_or_default();
    }
    for key in GRADED.iter().filter(|key| table.contains_key(**key)) {
        if let Some(gravity) = gravity(reader, table, "severity", key) {
            grades.of.push(((*key).to_owned(), gravity));
        }
    }
    grades
}

fn gravity(reader: &mut Reader<'_>, table: &DeTable<'_>, within: &str, key: &str) -> Option<Gravity> {
    let (text, line) = reader.text(table, within, key)?;
    match text.as_str() {
        "fail" => Some(Gravity::Fail),
        "warn" => Some(Gravity::Warn),
        other => {
            let help = "use \"fail\" or \"warn\"".to_owned();
            reader.fault(line, key, format!("`{other}` is no severity"), help);
            None
        }
    }
}

fn demands(
    reader: &mut Reader<'_>,
    table: &DeTable<'_>,
    within: &str,
    scope: &Scope,
    grades: &Grades,
    clauses: &mut Vec<Clause>,
) {
    let mut found: Vec<Demand> = Vec::new();
    found.extend(reader.text(table, within, "driver").map(|(name, _)| Demand::Driver(name)));
    let versions: [Key<String>; 3] = [
        ("driver_version_min", Demand::DriverVersionMin),
        ("firmware_min", Demand::FirmwareMin),
        ("kernel_min", Demand::KernelMin),
    ];
    for (key, demand) in versions {
        found.extend(version(reader, table, within, key).map(demand));
    }
    found.extend(reader.number(table, within, "mtu", &MTU).map(Demand::Mtu));
    found.extend(speed(reader, table, within).map(Demand::LinkSpeedMin));
    found.extend(counts(reader, table, within));
    found.extend(offloads(reader, table, within));
    clauses.extend(found.into_iter().map(|demand| {
        let severity = grades.of(&demand);
        Clause { scope: scope.clone(), demand, severity }
    }));
}

fn version(reader: &mut Reader<'_>, table: &DeTable<'_>, within: &str, key: &str) -> Option<String> {
    let (text, line) = reader.text(table, within, key)?;
    if !text.chars().any(|c| c.is_ascii_digit()) {
        let help = format!("write for example {key} = \"2.16\"");
        reader.fault(line, key, format!("`{text}` has no number to compare"), help);
        return None;
    }
    Some(text)
}

fn speed(reader: &mut Reader<'_>, table: &DeTable<'_>, within: &str) -> Option<BitRate> {
    let key = "link_speed_min";
    let (text, line) = reader.text(table, within, key)?;
    text.parse().map_err(|error| reader.fault(line, key, format!("{error}"), "write \"10G\"".to_owned())).ok()
}

/// `[rings]` and `[channels]`.
fn counts(reader: &mut Reader<'_>, table: &DeTable<'_>, within: &str) -> Vec<Demand> {
    let groups: [(&str, &[Key<u32>]); 2] = [
        ("rings", &[("rx_min", Demand::RingRxMin), ("tx_min", Demand::RingTxMin)]),
        ("channels", &[("combined_min", Demand::CombinedMin)]),
    ];
    let mut found = Vec::new();
    for (group, keys) in groups {
        let path = path(within, group);
        let Some(inner) = inner(reader, table, group, &path) else { continue };
        let known: Vec<&str> = keys.iter().map(|(key, _)| *key).collect();
        reader.only_keys(inner, &path, &known);
        for (key, demand) in keys {
            found.extend(reader.number(inner, &path, key, &COUNT).map(demand));
        }
    }
    found
}

fn offloads(reader: &mut Reader<'_>, table: &DeTable<'_>, within: &str) -> Vec<Demand> {
    let path = path(within, "offloads");
    let Some(inner) = inner(reader, table, "offloads", &path) else { return Vec::new() };
    let mut found = Vec::new();
    for (key, value) in inner {
        let (name, line) = (key.get_ref().as_ref(), reader.line(key.span()));
        let at = format!("{path}.{name}");
        match value.get_ref() {
            _ if !offload::is_name(name) => {
                let known = offload::OFFLOADS.iter().flat_map(|offload| [offload.short, offload.long]);
                let help = super::super::draft::reader::use_one_of(name, &known.collect::<Vec<_>>());
                reader.fault(line, &at, "is no known offload".to_owned(), help);
            }
            DeValue::Boolean(on) => found.push(Demand::Offload(name.to_owned(), *on)),
            other => {
                let wrong = format!("is of type {} and should be true or false", other.type_str());
                reader.fault(line, &at, wrong, format!("write for example {name} = true"));
            }
        }
    }
    // By name: the order of a table is no statement.
    found.sort_by_key(Demand::key);
    found
}

/// A table within a table; a fault where something else stands there.
fn inner<'t, 'i>(
    reader: &mut Reader<'_>,
    table: &'t DeTable<'i>,
    key: &str,
    path: &str,
) -> Option<&'t DeTable<'i>> {
    let value = table.get(key)?;
    let inner = value.get_ref().as_table();
    if inner.is_none() {
        let line = reader.line(value.span());
        reader.fault(line, path, "is no table".to_owned(), format!("write [{path}], or {path}.… = …"));
    }
    inner
}

fn path(within: &str, key: &str) -> String {
    if within.is_empty() { key.to_owned() } else { format!("{within}.{key}") }
}
