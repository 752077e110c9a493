//! Creates, lists, finds and revokes personal access tokens. They are long-lived, opaque and meant for
//! scripts. The plain token is shown once, and the database stores a digest.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use super::ended::Ended;
use super::names::Names;
use super::owner::{Owner, owner_columns};
use super::revocation::{self, Revocation};
use crate::audit::{EventDetails, Origin, Subject, event};
use crate::database::named::named;
use crate::database::now;
use crate::database::schema::{personal_tokens, roles, users};
use crate::digest::Digest;
use crate::random;

/// Every personal token starts with this prefix.
pub const PREFIX: &str = "dwp_";
/// The length of the random part. 43 characters of base62 hold 256 bits.
const RANDOM_LEN: usize = 43;
/// The length of the checksum. 6 characters of base62 hold 32 bits.
const CHECKSUM_LEN: usize = 6;
/// The digits of base62.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A personal token in plain text, which is shown once. `Debug` does not print it.
#[derive(Clone)]
pub struct PlainPersonalToken(String);

impl PlainPersonalToken {
    /// Returns the text, for the one response that contains it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PlainPersonalToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("dwp_…")
    }
}

/// The string does not have the format, or its checksum is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PersonalTokenError;

/// Generates a token. Returns it with the digest to store.
#[must_use]
pub fn mint() -> (PlainPersonalToken, Digest) {
    let mut text = PREFIX.to_owned();
    while text.len() < PREFIX.len() + RANDOM_LEN {
        text.extend(random::bytes::<32>().into_iter().filter_map(digit));
        text.truncate(PREFIX.len() + RANDOM_LEN);
    }
    text.push_str(&checksum(&text));
    let digest = Digest::of(&text);
    (PlainPersonalToken(text), digest)
}

/// Converts a random byte to a digit. Bytes from 248, the last multiple of 62, are rejected, so that all
/// digits are equally likely.
fn digit(byte: u8) -> Option<char> {
    (byte < 248).then(|| char::from(DIGITS[usize::from(byte % 62)]))
}

/// Checks the format and the checksum. Returns the digest by which to look up the token.
pub fn parse(text: &str) -> Result<Digest, PersonalTokenError> {
    let random = text.strip_prefix(PREFIX).ok_or(PersonalTokenError)?;
    let is_base62 = random.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_base62 || random.len() != RANDOM_LEN + CHECKSUM_LEN {
        return Err(PersonalTokenError);
    }
    let (body, sum) = text.split_at(PREFIX.len() + RANDOM_LEN);
    if checksum(body) == sum { Ok(Digest::of(text)) } else { Err(PersonalTokenError) }
}

/// Returns whether a string has the format of a personal token, of any length.
#[must_use]
pub fn is_in_form(text: &str) -> bool {
    text.strip_prefix(PREFIX).is_some_and(|random| random.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// Returns the CRC-32 in base62. It distinguishes a mistyped token from an unknown one, and lets secret
/// scanners verify what they find.
fn checksum(text: &str) -> String {
    let mut rest = u64::from(crc32fast::hash(text.as_bytes()));
    let mut digits = ['0'; CHECKSUM_LEN];
    for digit in digits.iter_mut().rev() {
        *digit = char::from(DIGITS[(rest % 62) as usize]);
        rest /= 62;
    }
    digits.iter().collect()
}

/// A personal token, as it is listed.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = personal_tokens, check_for_backend(diesel::pg::Pg))]
pub struct PersonalToken {
    pub id: Uuid,
    pub user_id: Option<Uuid>,
    /// The name that its owner gave it.
    pub name: String,
    pub scope: Vec<String>,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    /// The time of the last use, about 10 s behind at most.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// The current state of a personal token and its user.
#[derive(Clone, Debug)]
pub struct PersonalTokenState {
    pub id: Uuid,
    pub scope: Names,
    pub expires_at: DateTime<Utc>,
    /// `expires_at`, once it has passed by the database's clock. `None` before.
    pub expired_at: Option<DateTime<Utc>>,
    /// The time until the token expires, by the same clock.
    pub left: Duration,
    /// The time and the reason of the revocation. `None` if the token was not revoked.
    pub revoked: Option<Ended<RevokeReason>>,
    /// `None` if the account was deleted.
    pub user: Option<Owner>,
}

/// Returns the state of the token with this digest, in one round trip.
pub fn find_state(connection: &mut PgConnection, digest: &Digest) -> QueryResult<Option<PersonalTokenState>> {
    type RevokedColumns = (Option<DateTime<Utc>>, Option<RevokeReason>);
    type Row = (Uuid, Vec<String>, DateTime<Utc>, DateTime<Utc>, RevokedColumns, Option<Owner>);
    let row: Option<Row> = personal_tokens::table
        .left_join(users::table.inner_join(roles::table))
        .filter(personal_tokens::digest.eq(digest.as_slice()))
        .select((
            personal_tokens::id,
            personal_tokens::scope,
            personal_tokens::expires_at,
            now(),
            (personal_tokens::revoked_at, personal_tokens::revoked_reason),
            owner_columns!(),
        ))
        .first(connection)
        .optional()?;
    Ok(row.map(|(id, scope, expires_at, now, (at, why), user)| PersonalTokenState {
        id,
        scope: scope.into(),
        expires_at,
        expired_at: (expires_at <= now).then_some(expires_at),
        left: (expires_at - now).to_std().unwrap_or_default(),
        revoked: Ended::of_columns(at, why),
        user,
    }))
}

/// Returns the valid tokens of a user, or of all users, the latest first.
pub fn list(
    connection: &mut PgConnection,
    user_id: Option<Uuid>,
    before: Option<Uuid>,
    limit: i64,
) -> QueryResult<Vec<PersonalToken>> {
    let mut query = personal_tokens::table
        .filter(personal_tokens::revoked_at.is_null().and(personal_tokens::expires_at.gt(now())))
        .filter(personal_tokens::user_id.is_not_null())
        .select(PersonalToken::as_select())
        .into_boxed();
    if let Some(user_id) = user_id {
        query = query.filter(personal_tokens::user_id.eq(user_id));
    }
    if let Some(before) = before {
        query = query.filter(personal_tokens::id.lt(before));
    }
    query.order(personal_tokens::id.desc()).limit(limit).load(connection)
}

/// A personal token that may be expired or revoked, with the time and the reason of its revocation.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = personal_tokens, check_for_backend(diesel::pg::Pg))]
pub struct PersonalTokenHistory {
    #[diesel(embed)]
    pub token: PersonalToken,
    pub revoked_at: Option<DateTime<Utc>>,
    pub revoked_reason: Option<RevokeReason>,
}

/// Returns a personal token, even if it is expired or revoked.
pub fn find_history(connection: &mut PgConnection, id: Uuid) -> QueryResult<Option<PersonalTokenHistory>> {
    personal_tokens::table.find(id).select(PersonalTokenHistory::as_select()).first(connection).optional()
}

/// A personal token to create.
#[derive(Clone, Debug)]
pub struct NewPersonalToken {
    pub user_id: Uuid,
    /// The name that its owner gives it.
    pub name: String,
    /// The digest of the plain token.
    pub digest: Digest,
    pub scope: Vec<String>,
    /// The token's lifetime.
    pub ttl: chrono::TimeDelta,
}

/// Creates a token, in the caller's transaction. The caller must have locked the user's row, so that a
/// concurrent revocation of all the user's tokens cannot miss it.
pub fn insert(
    connection: &mut PgConnection,
    new: &NewPersonalToken,
    origin: &Origin,
) -> QueryResult<PersonalToken> {
    let moment: DateTime<Utc> = diesel::select(now()).get_result(connection)?;
    let token: PersonalToken = diesel::insert_into(personal_tokens::table)
        .values((
            personal_tokens::id.eq(random::id()),
            personal_tokens::user_id.eq(new.user_id),
            personal_tokens::name.eq(&new.name),
            personal_tokens::digest.eq(new.digest.as_slice()),
            personal_tokens::scope.eq(&new.scope),
            personal_tokens::created_at.eq(moment),
            personal_tokens::expires_at.eq(moment + new.ttl),
        ))
        .returning(PersonalToken::as_returning())
        .get_result(connection)?;
    let PersonalToken { id: token_id, name, scope, .. } = token.clone();
    let details = EventDetails::PersonalTokenCreated { token_id, name, scope };
    let subject = Subject { id: Some(new.user_id), name: None };
    event::insert(connection, origin, subject, &details)?;
    Ok(token)
}

named! {
    /// The reason why a token was revoked.
    pub enum RevokeReason {
        /// The owner revoked the token.
        ByUser = "revoked_by_user",
        /// An administrator revoked the token.
        ByAdmin = "revoked_by_admin",
        /// The owner changed their password.
        PasswordChanged = "password_changed",
        /// An administrator set a new password, or a one-time link was used to set one.
        PasswordReset = "password_reset",
        /// The database was restored to an earlier state.
        DatabaseRestored = "database_restored",
    }
}

/// A selection of tokens to revoke.
#[derive(Clone, Copy, Debug)]
pub enum TokenSelection {
    /// This token.
    One(Uuid),
    /// This token, if it belongs to the user.
    OneOf(Uuid, Uuid),
    /// All tokens of a user.
    AllOf(Uuid),
    /// All tokens that have not expired. With a time, only those created by then.
    Every(Option<DateTime<Utc>>),
}

/// Returns the IDs of the selected tokens that have not been revoked.
pub fn find_unrevoked(connection: &mut PgConnection, which: TokenSelection) -> QueryResult<Vec<Uuid>> {
    let mut ids = personal_tokens::table
        .filter(personal_tokens::revoked_at.is_null())
        .select(personal_tokens::id)
        .into_boxed();
    ids = match which {
        TokenSelection::One(id) => ids.filter(personal_tokens::id.eq(id)),
        TokenSelection::OneOf(user_id, id) => {
            ids.filter(personal_tokens::user_id.eq(user_id).and(personal_tokens::id.eq(id)))
        }
        TokenSelection::AllOf(user_id) => ids.filter(personal_tokens::user_id.eq(user_id)),
        TokenSelection::Every(None) => ids.filter(personal_tokens::expires_at.gt(now())),
        TokenSelection::Every(Some(by)) => {
            ids.filter(personal_tokens::expires_at.gt(now()).and(personal_tokens::created_at.le(by)))
        }
    };
    ids.order(personal_tokens::id).load(connection)
}

/// Revokes tokens, in the caller's transaction. Returns the IDs of those that had not been revoked before.
pub fn revoke(
    connection: &mut PgConnection,
    which: TokenSelection,
    reason: RevokeReason,
    origin: &Origin,
) -> QueryResult<Vec<Uuid>> {
    let ids = find_unrevoked(connection, which)?;
    let revoked: Vec<(Uuid, Option<Uuid>, String, DateTime<Utc>)> = diesel::update(personal_tokens::table)
        .filter(personal_tokens::id.eq_any(&ids).and(personal_tokens::revoked_at.is_null()))
        .set((
            personal_tokens::revoked_at.eq(now().nullable()),
            personal_tokens::revoked_reason.eq(reason.as_str()),
        ))
        .returning((
            personal_tokens::id,
            personal_tokens::user_id,
            personal_tokens::name,
            personal_tokens::expires_at,
        ))
        .get_results(connection)?;
    for (id, user_id, name, expires_at) in &revoked {
        revocation::insert(connection, &Revocation::PersonalToken(*id), reason.as_str(), *expires_at)?;
        let (name, reason) = (name.clone(), reason.to_string());
        let details = EventDetails::PersonalTokenRevoked { token_id: *id, name, reason };
        let subject = Subject { id: *user_id, name: None };
        event::insert(connection, origin, subject, &details)?;
    }
    Ok(revoked.into_iter().map(|(id, ..)| id).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn malformed_text_is_refused_without_a_panic(text in ".{0,80}") {
            prop_assert_eq!(parse(&text), Err(PersonalTokenError));
            prop_assert_eq!(parse(&format!("{PREFIX}{text}")), Err(PersonalTokenError));
        }
    }

    #[test]
    fn minted_token_is_found_by_its_digest_and_is_unique() {
        let (token, digest) = mint();
        assert_eq!(parse(token.expose()), Ok(digest));
        assert_eq!(token.expose().len(), PREFIX.len() + RANDOM_LEN + CHECKSUM_LEN);
        assert_ne!(token.expose(), mint().0.expose());
        assert_eq!(format!("{token:?}"), "dwp_…");
    }

    #[test]
    fn checksum_is_crc_32_in_base62() {
        // The check value of CRC-32/ISO-HDLC is 0xcbf43926.
        assert_eq!(checksum("123456789"), "3jZRME");
    }

    #[test]
    fn every_digit_is_equally_likely() {
        let drawn: Vec<char> = (0..=u8::MAX).filter_map(digit).collect();
        for digit in DIGITS.map(char::from) {
            assert_eq!(drawn.iter().filter(|drawn| **drawn == digit).count(), 4, "{digit}");
        }
        assert_eq!(drawn.len(), 4 * 62);
    }

    #[test]
    fn stored_digest_is_sha_256_of_the_token() {
        let (token, digest) = mint();
        assert_eq!(digest, Digest::of(token.expose()));
    }

    #[test]
    fn mistyped_character_fails_the_checksum() {
        let (token, _) = mint();
        for at in PREFIX.len()..token.expose().len() {
            let mut typed = token.expose().to_owned().into_bytes();
            typed[at] = if typed[at] == b'x' { b'y' } else { b'x' };
            assert_eq!(
                parse(std::str::from_utf8(&typed).expect("ASCII")),
                Err(PersonalTokenError),
                "character {at}"
            );
        }
    }
}
