//! Text from strangers, before it reaches a terminal or a list.

/// Whether `c` would do something to the screen instead of standing on it: control characters, and those that turn the
/// direction of what follows, so that it reads as something else (Unicode TR 36 §2.2).
pub(crate) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `text` with a `?` for each hidden character.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if is_hidden(c) { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn nothing_hidden_reaches_the_screen() {
        assert_eq!(printable("Ada\u{1b}[31m\n"), "Ada?[31m?");
        assert_eq!(printable("\u{202e}gnp.exe"), "?gnp.exe");
        assert_eq!(printable("Ädä 日本 👍"), "Ädä 日本 👍");
    }
}
