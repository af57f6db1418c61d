//! Commands for people to type: templates filled with names that other machines supplied.
//!
//! Such a name may hold anything; it must not become more than one word of a shell.

use std::collections::BTreeMap;

/// A template with each `{name}` replaced by its value as one word of a shell; names that
/// have no value are left as they are, for a person to fill in.
pub fn fill(template: &str, values: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let Some(end) = rest.find('}') else { break };
        match values.get(&rest[1..end]) {
            Some(value) => out.push_str(&word(value)),
            None => out.push_str(&rest[..=end]),
        }
        rest = &rest[end + 1..];
    }
    out + rest
}

/// `text` as one word of a POSIX shell.
pub fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._:@%+,/=-".contains(c);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// What installs the headers of a kernel, by the packages that its distribution uses.
pub fn install_headers(distribution: Option<&str>, kernel: &str) -> String {
    let distribution = distribution.unwrap_or_default().to_ascii_lowercase();
    let named = |names: &[&str]| names.iter().any(|name| distribution.contains(name));
    let built = |marks: &[&str]| marks.iter().any(|mark| kernel.contains(mark));
    let release = word(kernel);
    if named(&["suse"]) {
        format!("zypper install kernel-default-devel  # the one of {release}")
    } else if named(&["amazon", "red hat", "centos", "rocky", "alma", "fedora", "oracle"])
        || built(&[".el", ".amzn", ".fc"])
    {
        format!("dnf install kernel-devel-{release}")
    } else {
        format!("apt-get install linux-headers-{release}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_from_another_machine_stays_one_word() {
        let values = BTreeMap::from([
            ("iface".to_owned(), "eth0; rm -rf ~".to_owned()),
            ("module".to_owned(), "it's".to_owned()),
        ]);
        assert_eq!(fill("ethtool -i {iface}", &values), "ethtool -i 'eth0; rm -rf ~'");
        assert_eq!(fill("modinfo {module} {kernel} {", &values), "modinfo 'it'\\''s' {kernel} {");
        assert_eq!(word("-rf"), "'-rf'");
        assert_eq!(word("eth0.7"), "eth0.7");
    }

    #[test]
    fn headers_come_from_the_distributions_own_packages() {
        assert_eq!(
            install_headers(Some("Ubuntu 22.04.4 LTS"), "5.15.0-119-generic"),
            "apt-get install linux-headers-5.15.0-119-generic"
        );
        for (distribution, kernel) in
            [(Some("Amazon Linux 2023"), "6.1.102-111.182.amzn2023"), (None, "4.18.0-553.el8_10.x86_64")]
        {
            assert_eq!(install_headers(distribution, kernel), format!("dnf install kernel-devel-{kernel}"));
        }
    }
}
