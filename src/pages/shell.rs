//! The frame of every page: the bar at the top, which shows who is signed in.

use std::sync::Arc;

use actix_web::HttpRequest;

use super::assets;
use super::site::{self, Site};
use crate::guard::{Caller, visitor};
use crate::users::role::{AUDIT_READ, SERVER_READ, USERS_READ};

/// The values in the template base.html.
pub(crate) struct Shell {
    /// The signed-in user, if the page knows them.
    pub user: Option<SignedIn>,
    /// True if the bar has a link to sign in.
    pub offers_login: bool,
}

/// The signed-in user.
pub(crate) struct SignedIn {
    pub username: String,
    /// The CSRF token that every form sends. Public pages have none.
    pub csrf_token: String,
    /// The first administration page that the user may see; empty if there is none.
    pub admin: &'static str,
}

impl Shell {
    /// Returns the frame of a page that does not look for its visitor.
    #[must_use]
    pub(crate) fn open() -> Self {
        Self { user: None, offers_login: true }
    }

    /// Returns the frame of a public page, with the name of its visitor if they are recognized in time. It has
    /// no secret: signing out leads to a page with the CSRF token. So the page may be compressed.
    pub(crate) async fn public(request: &HttpRequest) -> Self {
        let Some(caller) = visitor::recognize(request).await else { return Self::open() };
        let mut shell = Self::of(&caller);
        if let Some(user) = &mut shell.user {
            user.csrf_token.clear();
        }
        shell
    }

    /// Returns the frame of a page that shows its caller more, if there is one.
    #[must_use]
    pub(crate) fn of_visitor(caller: Option<&Caller>) -> Self {
        caller.map_or_else(Self::open, Self::of)
    }

    /// Returns the version in the footer.
    #[must_use]
    pub(crate) fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    /// Returns the frame of a form that is used before signing in.
    #[must_use]
    pub(crate) fn bare() -> Self {
        Self { user: None, offers_login: false }
    }

    /// Returns the frame of a page for this caller.
    #[must_use]
    pub(crate) fn of(caller: &Caller) -> Self {
        let csrf_token = caller.credential.csrf_token().unwrap_or_default().to_owned();
        let admin = [(SERVER_READ, "/admin"), (USERS_READ, "/admin/users"), (AUDIT_READ, "/admin/audit")];
        let admin = admin.iter().find(|(permission, _)| caller.may(permission)).map_or("", |(_, path)| path);
        let user = SignedIn { username: caller.username.clone(), csrf_token, admin };
        Self { user: Some(user), offers_login: false }
    }

    /// Returns the username, or an empty text if nobody is signed in.
    #[must_use]
    pub(crate) fn username(&self) -> &str {
        self.user.as_ref().map_or("", |user| &user.username)
    }

    /// Returns the session's CSRF token, or an empty text without a session.
    #[must_use]
    pub(crate) fn csrf_token(&self) -> &str {
        self.user.as_ref().map_or("", |user| &user.csrf_token)
    }

    /// Returns the path of the stylesheet.
    #[must_use]
    pub(crate) fn style(&self) -> &'static str {
        assets::STYLE.path()
    }

    /// Returns the path of the script.
    #[must_use]
    pub(crate) fn script(&self) -> &'static str {
        assets::SCRIPT.path()
    }

    /// Returns the looks that the operator gave to the pages.
    #[must_use]
    pub(crate) fn site(&self) -> Arc<Site> {
        site::of_thread()
    }

    /// Returns the path of the file with the small pictures.
    #[must_use]
    pub(crate) fn icons(&self) -> &'static str {
        assets::ICONS.path()
    }

    /// Returns the path of the icon.
    #[must_use]
    pub(crate) fn icon(&self) -> &'static str {
        assets::ICON.path()
    }
}
