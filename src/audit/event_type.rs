//! Names the types of audit events.

use crate::database::named::named;

named! {
    /// The types of audit events.
    pub enum EventType {
        /// A sign-in with the correct password.
        LoginSucceeded = "login_succeeded",
        /// A refused sign-in. The password was wrong, the account is disabled, or the requested scope exceeds
        /// the user's permissions.
        LoginFailed = "login_failed",
        /// A step-up with the correct password.
        SteppedUp = "stepped_up",
        /// A step-up with a wrong password.
        StepUpFailed = "step_up_failed",
        /// Attempts were throttled. Only the first refusal of a burst is recorded.
        TooManyAttempts = "too_many_attempts",
        /// A refresh token that was already rotated was presented again, and that was forgiven.
        RefreshRepeated = "refresh_repeated",
        /// A refresh token that was already rotated was presented again, and that was not forgiven. Its
        /// session was ended.
        RefreshTokenReused = "refresh_token_reused",
        /// A session was ended. `details.reason` has the reason.
        SessionEnded = "session_ended",
        /// An account was created.
        UserCreated = "user_created",
        /// A username or an e-mail address was changed.
        UserUpdated = "user_updated",
        /// A role was changed.
        UserRoleChanged = "user_role_changed",
        /// An account was disabled.
        UserDisabled = "user_disabled",
        /// A disabled account was enabled.
        UserEnabled = "user_enabled",
        /// The throttling of an account's sign-ins was reset.
        UserUnlocked = "user_unlocked",
        /// An account was deleted.
        UserDeleted = "user_deleted",
        /// A password was changed or set.
        PasswordChanged = "password_changed",
        /// A one-time link to set a password was created.
        PasswordLinkCreated = "password_link_created",
        /// A personal access token was created.
        PersonalTokenCreated = "personal_token_created",
        /// A personal access token was revoked.
        PersonalTokenRevoked = "personal_token_revoked",
        /// A signing key was published.
        SigningKeyPublished = "signing_key_published",
        /// A signing key was revoked.
        SigningKeyRevoked = "signing_key_revoked",
        /// The database was restored to an earlier state, and the credentials that may have been revoked
        /// since then were ended.
        DatabaseRestored = "database_restored",
        /// A node found that the database had lost recent revocations, and re-applied them.
        DatabaseWentBack = "database_went_back",
    }
}

impl EventType {
    /// Returns whether a client can repeat the event at will within a session. Such events are one row per
    /// minute, with a count.
    pub(super) const fn is_repeatable(&self) -> bool {
        matches!(self, Self::SteppedUp | Self::StepUpFailed | Self::RefreshRepeated)
    }
}
