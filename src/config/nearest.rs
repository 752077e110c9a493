//! Finds the known name that was probably meant by an unknown one.

/// Returns the candidate with the fewest edits to `name`, or `None` if even that one is too different.
#[must_use]
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = plain(name);
    let limit = (wanted.chars().count() / 3).max(2);
    candidates
        .map(|candidate| (distance(&wanted, &plain(candidate)), candidate))
        .filter(|(edits, _)| *edits <= limit)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Normalizes a name's prefix, case and hyphens, which are usually mistaken as a whole.
fn plain(name: &str) -> String {
    let name = name.to_ascii_lowercase().replace('-', "_");
    name.strip_prefix("doorward_").map(str::to_owned).unwrap_or(name)
}

/// Counts the insertions, deletions, replacements and swaps of neighbours between two names.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().take(128).collect();
    let right: Vec<char> = right.chars().collect();
    let mut rows: Vec<Vec<usize>> = vec![(0..=right.len()).collect()];
    for (row, letter) in left.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, other) in right.iter().enumerate() {
            let replaced = rows[row][column] + usize::from(letter != other);
            let mut best = replaced.min(rows[row][column + 1] + 1).min(next[column] + 1);
            let crossed = row > 0 && column > 0 && *letter == right[column - 1] && left[row - 1] == *other;
            if crossed {
                best = best.min(rows[row - 1][column - 1] + 1);
            }
            next.push(best);
        }
        rows.push(next);
    }
    rows[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 4] = ["DATABASE_URL", "DOORWARD_LISTEN", "DOORWARD_ACCESS_TOKEN_TTL", "DOORWARD_LOG"];

    fn suggest(name: &str) -> Option<&'static str> {
        nearest(name, KNOWN.into_iter())
    }

    #[test]
    fn a_slip_finds_its_name() {
        assert_eq!(suggest("DOORWARD_LISETN"), Some("DOORWARD_LISTEN"));
        assert_eq!(suggest("DOORWARD_ACCESS_TOKEN_LIFETIME"), Some("DOORWARD_ACCESS_TOKEN_TTL"));
        assert_eq!(suggest("DOORWARD_DATABASE_URL"), Some("DATABASE_URL"));
        assert_eq!(suggest("access-token-ttl"), Some("DOORWARD_ACCESS_TOKEN_TTL"));
    }

    #[test]
    fn a_name_unlike_all_finds_none() {
        assert_eq!(suggest("DOORWARD_COLOUR_OF_THE_SKY"), None);
        assert_eq!(suggest(""), None);
    }

    #[test]
    fn the_distance_counts_each_kind_of_edit_once() {
        for (left, right, edits) in
            [("log", "log", 0), ("log", "lgo", 1), ("log", "lo", 1), ("log", "logs", 1), ("log", "lag", 1)]
        {
            assert_eq!(distance(left, right), edits, "{left} {right}");
        }
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
