//! Finds the known name that was probably meant by an unknown one.

/// The number of characters of a name that are compared. The comparison takes time in proportion to them.
const NAME_MAX: usize = 128;

/// Returns the candidate with the fewest edits to `name`, or `None` if even that one is too different.
#[must_use]
pub(super) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = plain(name);
    let limit = (wanted.chars().count() / 3).max(2);
    let start: String = wanted.chars().take(NAME_MAX).collect();
    candidates
        .map(|candidate| (strsim::osa_distance(&start, &plain(candidate)), candidate))
        .filter(|(edits, _)| *edits <= limit)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Removes the prefix `doorward_`, and ignores case and the difference between hyphens and underscores.
/// People usually get these wrong as a whole.
fn plain(name: &str) -> String {
    let name = name.to_ascii_lowercase().replace('-', "_");
    name.strip_prefix("doorward_").map(str::to_owned).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 4] = ["DATABASE_URL", "DOORWARD_LISTEN", "DOORWARD_ACCESS_TOKEN_TTL", "DOORWARD_LOG"];

    fn suggest(name: &str) -> Option<&'static str> {
        nearest(name, KNOWN.into_iter())
    }

    #[test]
    fn typo_finds_the_intended_name() {
        assert_eq!(suggest("DOORWARD_LISETN"), Some("DOORWARD_LISTEN"));
        assert_eq!(suggest("DOORWARD_ACCESS_TOKEN_LIFETIME"), Some("DOORWARD_ACCESS_TOKEN_TTL"));
        assert_eq!(suggest("DOORWARD_DATABASE_URL"), Some("DATABASE_URL"));
        assert_eq!(suggest("access-token-ttl"), Some("DOORWARD_ACCESS_TOKEN_TTL"));
    }

    #[test]
    fn dissimilar_name_finds_none() {
        assert_eq!(suggest("DOORWARD_COLOUR_OF_THE_SKY"), None);
        assert_eq!(suggest(""), None);
    }

    #[test]
    fn each_kind_of_edit_counts_once() {
        // Names of six characters may have two edits.
        for name in ["listen", "lsiten", "litsen", "lsietn", "lisen", "lisn", "llistenn", "liszen", "lizzen"]
        {
            assert_eq!(suggest(name), Some("DOORWARD_LISTEN"), "{name}");
        }
        assert_eq!(suggest("lizzer"), None);
    }
}
