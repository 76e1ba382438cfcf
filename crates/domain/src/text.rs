//! Small rules about texts that people enter.

/// Trims outer white space and counts Unicode scalar values, as every bound of the contract does.
#[must_use]
pub fn trimmed_length(text: &str) -> usize {
    text.trim().chars().count()
}

/// Whether the text holds a control character other than tab and newline, which names and titles must not.
#[must_use]
pub fn has_forbidden_control(text: &str) -> bool {
    text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r'))
}
