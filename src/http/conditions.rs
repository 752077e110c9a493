//! Conditional requests (RFC 9110, section 13): `If-Match` and `If-None-Match`.

use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::http::header::{HeaderMap, IF_MATCH, IF_NONE_MATCH};

use super::request::Input;
use crate::refusal::{Code, Refusal};

/// The number of tags that are read from a header, more than any client has seen of one record.
const TAGS_MAX: usize = 100;

/// The conditions of a request.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    if_match: Option<Vec<String>>,
    if_none_match: Option<Vec<String>>,
    /// True if `If-None-Match` lists more tags than are read.
    is_cut: bool,
}

/// The `If-Match` header, for the API description.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code)] // for the API description only
pub struct IfMatch {
    /// The `ETag` that you last read. The response is 412 if the resource has changed since.
    #[param(rename = "If-Match", example = "\"3\"")]
    pub if_match: Option<String>,
}

/// The `If-None-Match` header, for the API description.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code)] // for the API description only
pub struct IfNoneMatch {
    /// The `ETag` that you already have. The response is 304 if it is still current.
    #[param(rename = "If-None-Match", example = "\"3\"")]
    pub if_none_match: Option<String>,
}

impl Conditions {
    /// Parses the conditions of a request.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let (if_match, _) = tags(headers, IF_MATCH);
        let (if_none_match, is_cut) = tags(headers, IF_NONE_MATCH);
        Self { if_match, if_none_match, is_cut }
    }

    /// Returns true if the client of a read already has the version `tag`, by weak comparison (RFC 9110,
    /// section 13.1.2).
    #[must_use]
    pub fn is_unmodified(&self, tag: &str) -> bool {
        let weak = |listed: &String| listed == "*" || listed.strip_prefix("W/").unwrap_or(listed) == tag;
        self.if_none_match.as_ref().is_some_and(|tags| tags.iter().any(weak))
    }

    /// Checks the conditions of a change against the current tag. Compares `If-Match` strongly and
    /// `If-None-Match` weakly (RFC 9110, sections 13.1.1 and 13.1.2).
    ///
    /// # Errors
    /// `precondition_failed`.
    pub fn check(&self, tag: &str) -> Result<(), Refusal> {
        self.check_by(tag, |listed| listed == tag)
    }

    /// Checks the conditions of a change to something with more than one current tag. `is_current` returns
    /// true for each of them; `tag` is the one that a refusal names.
    ///
    /// # Errors
    /// `precondition_failed`.
    pub fn check_by(&self, tag: &str, is_current: impl Fn(&str) -> bool) -> Result<(), Refusal> {
        self.check_match_by(tag, &is_current)?;
        let is_seen = |listed: &String| is_current(listed.strip_prefix("W/").unwrap_or(listed));
        if self.is_unmodified(tag) || self.if_none_match.iter().flatten().any(is_seen) {
            let detail = format!(
                "`If-None-Match` requires that no such version exists, but {tag} is the current one. Leave \
                 the header out to change it."
            );
            return Err(Refusal::new(Code::PreconditionFailed, detail));
        }
        if self.is_cut {
            let detail = format!(
                "`If-None-Match` has more than {TAGS_MAX} tags, but no more are read. Send fewer tags, or \
                 `*`."
            );
            return Err(Refusal::new(Code::PreconditionFailed, detail));
        }
        Ok(())
    }

    /// Checks the conditions of a change to something without a tag. Any tag in `If-Match` fails; `*` passes.
    ///
    /// # Errors
    /// `precondition_failed`.
    pub fn check_untagged(&self) -> Result<(), Refusal> {
        let Some(listed) = &self.if_match else { return Ok(()) };
        if listed.iter().any(|listed| listed == "*") {
            return Ok(());
        }
        let detail = "`If-Match` names a version, but this has no versions, so no tag matches. Leave the \
                      header out.";
        Err(Refusal::new(Code::PreconditionFailed, detail))
    }

    /// Checks `If-Match` alone. A read does this before it evaluates `If-None-Match` (RFC 9110,
    /// section 13.2.2).
    ///
    /// # Errors
    /// `precondition_failed`.
    pub fn check_match(&self, tag: &str) -> Result<(), Refusal> {
        self.check_match_by(tag, |listed| listed == tag)
    }

    fn check_match_by(&self, tag: &str, is_current: impl Fn(&str) -> bool) -> Result<(), Refusal> {
        let Some(listed) = &self.if_match else { return Ok(()) };
        if listed.iter().any(|listed| listed == "*" || is_current(listed)) {
            return Ok(());
        }
        Err(Refusal::new(Code::PreconditionFailed, explain_mismatch(listed, tag, is_current)))
    }
}

/// Returns the reason why none of the tags in `If-Match` matched.
fn explain_mismatch(listed: &[String], tag: &str, is_current: impl Fn(&str) -> bool) -> String {
    if listed.iter().any(|listed| listed.strip_prefix("W/").is_some_and(&is_current)) {
        return format!(
            "`If-Match` has the weak tag W/{tag}, which never matches (RFC 9110, section 8.8.3.2). A proxy \
             that compresses responses makes tags weak. Send {tag}: this version is still current."
        );
    }
    // Empty items of a list do not count (RFC 9110, section 5.6.1).
    let mut items = listed.iter().filter(|listed| !listed.is_empty()).peekable();
    if items.peek().is_none() || !items.all(|listed| is_entity_tag(listed)) {
        return format!(
            "`If-Match` has a value that is not an entity tag. A tag is in double quotes, and only a weak one \
             has an upper-case `W/` before them (RFC 9110, section 8.8.3). Send the `ETag` exactly as you \
             read it. It is now {tag}."
        );
    }
    format!("The resource has changed since you read it. Its ETag is now {tag}. Read it again.")
}

/// Returns true for a quoted string, with or without `W/` before it (RFC 9110, section 8.8.3).
fn is_entity_tag(text: &str) -> bool {
    let quoted = text.strip_prefix("W/").unwrap_or(text);
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.is_some_and(|inner| inner.bytes().all(|byte| byte > b' ' && byte != b'"' && byte != 0x7f))
}

/// Returns the first `TAGS_MAX` tags of a header, or `None` if it was not sent; and true if there are more.
fn tags(headers: &HeaderMap, name: actix_web::http::header::HeaderName) -> (Option<Vec<String>>, bool) {
    let is_sent = headers.contains_key(&name);
    let lines = headers.get_all(name).map(|line| line.to_str().unwrap_or(""));
    let mut tags = lines.flat_map(|line| line.split(',')).map(str::trim);
    let read: Vec<String> = tags.by_ref().take(TAGS_MAX).map(str::to_owned).collect();
    (is_sent.then_some(read), tags.next().is_some())
}

impl Input for Conditions {
    const READS_CONDITIONS: bool = true;

    async fn read(request: &HttpRequest, _: Payload) -> Result<Self, Refusal> {
        Ok(Self::of(request.headers()))
    }
}

impl<B: Input> Input for (Conditions, B) {
    const READS_CONDITIONS: bool = true;
    const READS_QUERY: bool = B::READS_QUERY;

    async fn read(request: &HttpRequest, payload: Payload) -> Result<Self, Refusal> {
        let conditions = Conditions::read(request, Payload::None).await?;
        Ok((conditions, B::read(request, payload).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions(if_match: &str, if_none_match: &str) -> Conditions {
        let list = |text: &str| {
            (!text.is_empty()).then(|| text.split(',').map(|tag| tag.trim().to_owned()).collect::<Vec<_>>())
        };
        Conditions { if_match: list(if_match), if_none_match: list(if_none_match), is_cut: false }
    }

    #[test]
    fn too_many_tags_fail_the_condition_of_a_change() {
        let listed =
            |count: usize| (0..count).map(|number| format!("\"{number}\"")).collect::<Vec<_>>().join(",");
        let of = |name, count| {
            let value = actix_web::http::header::HeaderValue::from_str(&listed(count)).expect("a header");
            Conditions::of(&HeaderMap::from_iter([(name, value)]))
        };
        let last = format!("\"{}\"", TAGS_MAX - 1);
        assert!(of(IF_MATCH, TAGS_MAX).check(&last).is_ok());
        assert!(of(IF_MATCH, 20_000).check("\"15000\"").is_err());
        assert!(of(IF_NONE_MATCH, TAGS_MAX).check("\"x\"").is_ok());
        let refused = of(IF_NONE_MATCH, TAGS_MAX + 1).check("\"x\"").expect_err("a refusal");
        assert!(refused.detail().contains("more than 100 tags"), "{}", refused.detail());
        assert!(!of(IF_NONE_MATCH, 20_000).is_unmodified("\"15000\""), "the answer is sent whole");
    }

    #[test]
    fn change_compares_strongly_and_a_read_weakly() {
        assert!(conditions("", "").check("\"1\"").is_ok());
        assert!(conditions("\"1\", \"2\"", "").check("\"2\"").is_ok());
        assert!(conditions("*", "").check("\"2\"").is_ok());
        assert!(conditions("W/\"2\"", "").check("\"2\"").is_err());
        assert!(conditions("\"1\"", "").check("\"2\"").is_err());
        assert!(conditions("", "W/\"2\"").is_unmodified("\"2\""));
        assert!(conditions("", "*").is_unmodified("\"2\""));
        assert!(!conditions("", "\"1\"").is_unmodified("\"2\""));
        assert!(!conditions("", "").is_unmodified("\"2\""));
    }

    #[test]
    fn untagged_resource_never_matches_a_tag() {
        for (listed, passes) in [("", true), ("*", true), ("\"1\"", false), ("W/\"1\", x", false)] {
            assert_eq!(conditions(listed, "").check_untagged().is_ok(), passes, "{listed}");
        }
    }

    #[test]
    fn if_none_match_is_checked_for_changes() {
        for (listed, passes) in [("*", false), ("\"2\"", false), ("W/\"2\"", false), ("\"1\"", true)] {
            assert_eq!(conditions("", listed).check("\"2\"").is_ok(), passes, "{listed}");
        }
    }

    #[test]
    fn value_that_is_not_an_entity_tag_is_named() {
        for listed in ["2", "'2'", "w/\"2\"", "W/2", "\"2", "\"1\", 2", "\"", ","] {
            let refused = conditions(listed, "").check("\"2\"").expect_err("a refusal");
            assert!(refused.detail().contains("not an entity tag"), "{listed}: {}", refused.detail());
            assert!(refused.detail().contains("8.8.3") && !refused.detail().contains("has changed"));
        }
        let stale = conditions("\"1\",", "").check("\"2\"").expect_err("a refusal");
        assert!(stale.detail().contains("has changed"), "{}", stale.detail());
        let untagged = conditions("2", "").check_untagged().expect_err("a refusal");
        assert!(untagged.detail().contains("no versions"), "{}", untagged.detail());
    }

    #[test]
    fn weak_tag_in_if_match_is_reported() {
        let refused = conditions("W/\"2\"", "").check("\"2\"").expect_err("a refusal");
        assert!(refused.detail().contains("weak tag W/\"2\"") && refused.detail().contains("proxy"));
        let stale = conditions("W/\"1\"", "").check("\"2\"").expect_err("a refusal");
        assert!(stale.detail().contains("has changed"), "{}", stale.detail());
    }
}
