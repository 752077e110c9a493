//! What stands around every page: the bar on top, with who is signed in.

use super::assets;
use crate::guard::Caller;

/// What base.html is filled with.
pub struct Shell {
    /// Who is signed in, where the page knows.
    pub user: Option<SignedIn>,
    /// Whether the bar offers to sign in.
    pub offers_login: bool,
}

/// Who is signed in.
pub struct SignedIn {
    /// The username.
    pub username: String,
    /// What every form carries.
    pub csrf_token: String,
    /// Where the admin's pages begin for him; empty: he may see none.
    pub admin: &'static str,
}

impl Shell {
    /// Around a page that is the same for everybody.
    #[must_use]
    pub fn open() -> Self {
        Self { user: None, offers_login: true }
    }

    /// Around a form that comes before a session.
    #[must_use]
    pub fn bare() -> Self {
        Self { user: None, offers_login: false }
    }

    /// Around a caller's page.
    #[must_use]
    pub fn of(caller: &Caller) -> Self {
        let csrf_token = caller.credential.csrf_token().unwrap_or_default().to_owned();
        let admin =
            [("server:read", "/admin"), ("users:read", "/admin/users"), ("audit:read", "/admin/audit")];
        let admin = admin.iter().find(|(permission, _)| caller.may(permission)).map_or("", |(_, path)| path);
        let user = SignedIn { username: caller.username.clone(), csrf_token, admin };
        Self { user: Some(user), offers_login: false }
    }

    /// The username; empty without a session.
    #[must_use]
    pub fn username(&self) -> &str {
        self.user.as_ref().map_or("", |user| &user.username)
    }

    /// The session's CSRF token; empty without one.
    #[must_use]
    pub fn csrf_token(&self) -> &str {
        self.user.as_ref().map_or("", |user| &user.csrf_token)
    }

    /// Where the stylesheet is.
    #[must_use]
    pub fn style(&self) -> &'static str {
        assets::STYLE.path()
    }

    /// Where the script is.
    #[must_use]
    pub fn script(&self) -> &'static str {
        assets::SCRIPT.path()
    }

    /// Where the icon is.
    #[must_use]
    pub fn icon(&self) -> &'static str {
        assets::ICON.path()
    }
}
