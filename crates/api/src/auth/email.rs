//! Whether a text is an e-mail address, and its form.

/// Most characters of an address.
pub(super) const MAX_CHARACTERS: usize = 320;
/// Most bytes of its local part (RFC 5321, section 4.5.3.1).
const MAX_LOCAL: usize = 64;
/// Most bytes of its domain.
const MAX_DOMAIN: usize = 255;
/// Most bytes of one label of the domain.
const MAX_LABEL: usize = 63;

/// The address with its domain in lower case, if it is one: the dot-atom form of RFC 5321, with the letters of all
/// languages (RFC 6531). Quoted local parts and literal addresses are refused: nobody has them.
pub(super) fn normalised(text: &str) -> Option<String> {
    let (local, domain) = text.rsplit_once('@')?;
    let local_is_good =
        local.len() <= MAX_LOCAL && local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atom));
    let domain = domain.to_lowercase();
    let labels = domain.split('.').collect::<Vec<_>>();
    let domain_is_good = domain.len() <= MAX_DOMAIN && labels.len() >= 2 && labels.iter().all(|label| is_label(label));
    (local_is_good && domain_is_good).then(|| format!("{local}@{domain}"))
}

fn is_atom(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) } else { c.is_alphanumeric() }
}

fn is_label(label: &str) -> bool {
    (1..=MAX_LABEL).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.chars().all(|c| c == '-' || c.is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_keep_their_local_part_and_get_a_lower_case_domain() {
        for (text, expected) in [
            ("Ana.Torres@Example.COM", "Ana.Torres@example.com"),
            ("a+b@x-y.example", "a+b@x-y.example"),
            ("josé@águas.example", "josé@águas.example"),
        ] {
            assert_eq!(normalised(text).as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long_local = format!("{}@example.com", "a".repeat(65));
        for wrong in [
            "",
            "ana",
            "@example.com",
            "ana@",
            "ana@example",
            "ana@@example.com",
            "a na@example.com",
            ".a@example.com",
            "a..b@example.com",
            "ana@-x.example",
            "ana@exa mple.com",
            "ana@example..com",
            "\"a b\"@example.com",
            "ana@[192.0.2.1]",
            "a\n@example.com",
            "a<b>@example.com",
            &long_local,
        ] {
            assert_eq!(normalised(wrong), None, "{wrong}");
        }
    }
}
