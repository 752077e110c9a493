//! Computes the canonical form of usernames and e-mail addresses. It is folded, and an address's domain is in
//! Unicode. The canonical form of `a@xn--mnchen-3ya.de` is `a@münchen.de`.

use crate::database::folded_text::fold;

/// The prefix of internationalized labels in ASCII (RFC 5890, section 2.3.2.1).
const ACE_PREFIX: &str = "xn--";
/// Rounds of decoding and folding. The second changes something only in labels that were crafted for it.
const ROUNDS: usize = 3;

#[must_use]
pub(crate) fn canonical(text: &str) -> String {
    let mut canonical = fold(text);
    for _ in 0..ROUNDS {
        let Some((local, domain)) = canonical.rsplit_once('@') else { break };
        let next = fold(&format!("{local}@{}", decoded(domain)));
        if next == canonical {
            break;
        }
        canonical = next;
    }
    canonical
}

fn decoded(domain: &str) -> String {
    // The full stop of Chinese and Japanese separates labels too (UTS 46, section 4).
    let domain = domain.replace('\u{3002}', ".");
    domain.split('.').map(decoded_label).collect::<Vec<_>>().join(".")
}

fn decoded_label(label: &str) -> String {
    if label.starts_with(ACE_PREFIX)
        && let (decoded, Ok(())) = idna::domain_to_unicode(label)
    {
        return decoded;
    }
    label.to_owned()
}

/// Returns the address with its domain in ASCII. Returns `None` if it is not an address, or if its domain has
/// no such form.
fn in_ascii(address: &str) -> Option<String> {
    let (local, domain) = address.rsplit_once('@')?;
    let domain = idna::domain_to_ascii(domain).ok()?;
    Some(format!("{}@{domain}", fold(local)))
}

/// Returns the other spellings of a name: as earlier versions folded it, and with its domain in ASCII.
#[must_use]
pub(crate) fn aliases(typed: &str) -> Vec<String> {
    let canonical = canonical(typed);
    let mut aliases: Vec<String> =
        [Some(fold(typed)), in_ascii(&canonical), in_ascii(typed)].into_iter().flatten().collect();
    aliases.retain(|alias| *alias != canonical);
    aliases.sort_unstable();
    aliases.dedup();
    aliases
}

/// Returns the forms under which to look up a typed name, starting with the most likely owner's. An account
/// that an earlier version created may have a form that this version folds further.
#[must_use]
pub(crate) fn look_up_forms(typed: &str) -> Vec<String> {
    let mut forms = vec![fold(typed), canonical(typed)];
    forms.extend(aliases(typed));
    let mut seen = std::collections::BTreeSet::new();
    forms.retain(|form| seen.insert(form.clone()));
    forms
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_of_one_address_have_one_canonical_form() {
        for (one, other) in [
            ("a@münchen.de", "a@xn--mnchen-3ya.de"),
            ("A@MÜNCHEN.DE", "a@XN--MNCHEN-3YA.de"),
            ("a@mail.bücher.example", "a@mail.xn--bcher-kva.example"),
            ("a@straße.de", "a@xn--strae-oqa.de"),
            ("a@straße.de", "a@strasse.de"),
            ("a@例え。jp", "a@xn--r8jz45g.jp"),
            ("a@münchen\u{ff0e}de", "a@münchen.de"),
            ("a\u{ff20}xn--mnchen-3ya.de", "a@münchen.de"),
        ] {
            assert_eq!(canonical(one), canonical(other), "{one} and {other}");
        }
        for unchanged in ["a@example.org", "xn--mnchen-3ya.de", "a@xn--.de", "a@xn--a.de", "a@xn--abc-.de"] {
            assert_eq!(canonical(unchanged), unchanged);
        }
        assert_ne!(canonical("a@münchen.de"), canonical("a@munchen.de"));
        assert_ne!(canonical("ä@example.org"), canonical("xn--4ca@example.org"));
    }

    #[test]
    fn aliases_exclude_the_canonical_form() {
        assert_eq!(aliases("a@münchen.de"), ["a@xn--mnchen-3ya.de"]);
        assert_eq!(aliases("A@xn--mnchen-3ya.de"), ["a@xn--mnchen-3ya.de"]);
        assert_eq!(aliases("a@straße.de"), ["a@xn--strae-oqa.de"]);
        assert!(aliases("alice").is_empty() && aliases("a@example.org").is_empty());
        assert!(aliases("münchen").is_empty());
    }

    #[test]
    fn lookup_tries_the_typed_form_first() {
        assert_eq!(look_up_forms("A@xn--mnchen-3ya.de"), ["a@xn--mnchen-3ya.de", "a@münchen.de"]);
        assert_eq!(look_up_forms("a@münchen.de"), ["a@münchen.de", "a@xn--mnchen-3ya.de"]);
        assert_eq!(look_up_forms("Alice"), ["alice"]);
    }

    proptest! {
        #[test]
        fn canonical_form_is_idempotent(local in "[a-z]{1,5}", label in "\\PC{1,12}", ace in "[a-z0-9-]{1,12}") {
            for address in [format!("{local}@{label}.de"), format!("{local}@xn--{ace}.{label}")] {
                let once = canonical(&address);
                prop_assert_eq!(canonical(&once), once);
            }
        }
    }
}
