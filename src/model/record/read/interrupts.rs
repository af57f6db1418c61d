//! `/proc/interrupts`: which number belongs to whom.

use super::{ReadError, printable};

/// A numbered interrupt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Row {
    /// Its number.
    pub irq: u32,
    /// Its handler's name, for example `virtio2-input.0` or `eth0-TxRx-0`.
    pub name: String,
    /// All that follows the counts; newer kernels name the PCI device in it.
    pub tail: String,
}

/// The numbered interrupts; those of the processor itself (`NMI`, `LOC`, …) are left out.
pub fn rows(text: &str) -> Result<Vec<Row>, ReadError> {
    const OF: &str = "/proc/interrupts";
    let mut lines = text.lines();
    let cores =
        lines.next().map(|head| head.split_whitespace().filter(|word| word.starts_with("CPU")).count());
    let cores = cores.filter(|cores| *cores > 0).ok_or_else(|| ReadError::lacks(OF, "a head"))?;
    let mut rows = Vec::new();
    for line in lines {
        let (number, rest) = line.split_once(':').ok_or_else(|| ReadError::unfit(OF, "line", line))?;
        let Ok(irq) = number.trim().parse() else { continue };
        let words: Vec<&str> = rest.split_whitespace().collect();
        let words = words.get(cores..).ok_or_else(|| ReadError::lacks(OF, format!("counts of {irq}")))?;
        // The handlers follow how the interrupt is triggered; one without handler has none.
        let trigger = words.iter().rposition(|word| is_trigger(word));
        let name = trigger.map_or_else(
            || words.last().copied().unwrap_or_default().to_owned(),
            |at| words[at + 1..].join(" "),
        );
        rows.push(Row { irq, name: printable(&name), tail: words.join(" ") });
    }
    Ok(rows)
}

/// `1-edge`, `37-fasteoi`, `Level`, `-event`: the chip's words for it.
fn is_trigger(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    ["edge", "level", "fasteoi", "event"].iter().any(|end| {
        word.strip_suffix(end)
            .is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-'))
    })
}
