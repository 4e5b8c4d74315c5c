//! Did you mean? The name that somebody who mistyped probably had in mind.

/// The name that differs least from `wrong`, if it is near enough to be a slip of the pen.
pub(super) fn nearest(wrong: &str, names: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    // Underscores are the commonest slip, and no difference in meaning.
    let wrong = wrong.replace('_', "-");
    let (distance, name) = names.map(|name| (edit_distance(&wrong, name), name)).min()?;
    (distance * 3 <= name.len()).then_some(name)
}

/// The hint of a message about a name that is unknown; empty when nothing is near.
pub(super) fn did_you_mean(wrong: &str, names: impl Iterator<Item = &'static str>) -> String {
    nearest(wrong, names).map(|name| format!(" (did you mean {name:?}?)")).unwrap_or_default()
}

/// Insertions, deletions and replacements of bytes that turn one text into the other.
fn edit_distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        let nearest = |wrong| nearest(wrong, ["auth", "auth-timeout", "jwks"].into_iter());
        assert_eq!(nearest("auth_timeout"), Some("auth-timeout"));
        assert_eq!(nearest("auth-timeuot"), Some("auth-timeout"));
        assert_eq!(nearest("atuh"), None, "half of a short name");
        assert_eq!(nearest("jwk"), Some("jwks"));
        assert_eq!(nearest("colour"), None);
    }
}
