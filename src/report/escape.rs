//! Makes text of other machines harmless before it is shown.
//!
//! A kernel line, a driver's name or a reason may hold anything. In a terminal, control
//! characters move the cursor and bidirectional marks reorder what is read; in HTML and
//! Markdown, markup would be obeyed. What cannot be shown becomes U+FFFD, so that it is
//! seen that something stood there.

use std::fmt::Write as _;

/// Whether a character has no place in a line for people.
///
/// Held to be harmful: C0 and C1 controls and DEL, bidirectional marks and isolates, line and
/// paragraph separators, invisible joiners and spaces, and the tag characters.
pub const fn is_harmful(c: char) -> bool {
    c.is_ascii_control()
        || matches!(
            c,
            '\u{80}'..='\u{9f}'
                | '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// One line without control characters: line breaks and tabs become spaces, every other
/// harmful character U+FFFD.
pub fn plain(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\r' | '\t' => ' ',
            c if is_harmful(c) => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// [`plain`], and safe between tags and inside quoted attributes of HTML or SVG.
pub fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in plain(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// [`plain`], and read as text by Markdown renderers, also in a cell of a table.
///
/// `@` is escaped because ticket systems mention people by it; `_` within a word is none, as
/// `CommonMark` marks nothing there and names of kinds stay readable in the source.
pub fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let text = plain(text);
    let mut chars = text.chars().peekable();
    let mut after_word = false;
    while let Some(c) = chars.next() {
        let before_word = chars.peek().is_some_and(|next| next.is_alphanumeric());
        match c {
            '_' if after_word && before_word => out.push(c),
            '&' | '<' | '>' | '@' | '|' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "&#{};", u32::from(c));
            }
            '\\' | '`' | '*' | '_' | '[' | ']' | '~' | '#' | '!' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
        after_word = c.is_alphanumeric();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::HOSTILE;
    use proptest::prelude::*;

    #[test]
    fn what_could_move_a_cursor_or_turn_the_reading_order_is_replaced() {
        assert_eq!(plain("a\u{1b}[31mb"), "a\u{fffd}[31mb");
        assert_eq!(plain("one\r\ntwo\tthree"), "one  two three");
        assert_eq!(plain("a\u{202e}b\u{9b}c\u{7f}d"), "a\u{fffd}b\u{fffd}c\u{fffd}d");
        assert_eq!(plain("Größe µs – 5 %"), "Größe µs – 5 %");
    }

    #[test]
    fn no_hostile_text_leaves_an_angle_bracket_or_a_quote_in_html() {
        for text in HOSTILE {
            let escaped = html(text);
            assert!(!escaped.contains(['<', '>', '"', '\'']), "{text:?} became {escaped:?}");
        }
        assert_eq!(html("a&b"), "a&amp;b");
    }

    #[test]
    fn markdown_neither_mentions_nor_breaks_a_cell() {
        assert_eq!(markdown("<b>|@all"), "&#60;b&#62;&#124;&#64;all");
        assert_eq!(markdown("a_b*c _x_"), "a_b\\*c \\_x\\_");
    }

    proptest! {
        #[test]
        fn no_text_at_all_keeps_a_harmful_character(text in any::<String>()) {
            prop_assert!(!plain(&text).chars().any(is_harmful));
            prop_assert!(!html(&text).chars().any(|c| is_harmful(c) || c == '<'));
            prop_assert!(!markdown(&text).chars().any(|c| is_harmful(c) || c == '<'));
        }
    }
}
