//! Decides where a sign-in redirects to: to a path of this server, never to another host.

/// The maximum length of a path, in bytes.
const PATH_MAX: usize = 2_000;

/// Returns the path in `?next=`, if it is a path of this server other than `/login` and `/logout`. Browsers treat `//`,
/// `/\` and control characters in between as the start of another host, so such values are ignored.
#[must_use]
pub fn path(next: Option<&str>) -> Option<&str> {
    let next = next?;
    let rest = next.strip_prefix('/')?;
    let is_plain =
        next.len() <= PATH_MAX && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let is_sign_in = next.starts_with("/login") || next.starts_with("/logout");
    (is_plain && !rest.starts_with('/') && !is_sign_in).then_some(next)
}

/// Returns the URL of a page that redirects to `target` afterwards. Omits a target that the page would ignore
/// for its length.
#[must_use]
pub fn after(page: &str, target: &str) -> String {
    if target.len() > PATH_MAX {
        return page.to_owned();
    }
    let query: String =
        url::form_urlencoded::Serializer::new(String::new()).append_pair("next", target).finish();
    format!("{page}?{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_url_omits_a_target_that_is_too_long() {
        let long = format!("/{}", "a".repeat(PATH_MAX));
        assert_eq!(after("/login", &long), "/login");
        assert_eq!(path(Some(&long)), None);
        let longest = &long[..PATH_MAX];
        assert!(after("/login", longest).starts_with("/login?next=%2Faaa") && path(Some(longest)).is_some());
    }

    #[test]
    fn only_local_paths_are_followed() {
        for good in ["/", "/account", "/account/tokens?x=1&y=%2F", "/a//b"] {
            assert_eq!(path(Some(good)), Some(good));
        }
        for bad in [
            "",
            "account",
            "//evil.test",
            "/\\evil.test",
            "/\t/evil.test",
            "/%09/evil.test\n",
            "https://evil.test",
            "javascript:alert(1)",
            "\\/evil.test",
            "/\u{0}/evil",
            "/ä",
            "/login?next=/login",
            "/logout",
        ] {
            assert_eq!(path(Some(bad)), None, "{bad:?}");
        }
        assert_eq!(path(None), None);
    }
}
