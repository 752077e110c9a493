//! Finds, lists and creates user accounts, and checks who has authority over them.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::{Array, Text};
use uuid::Uuid;

use super::canonical_form::look_up_forms;
use super::name::{EmailAddress, Username};
use super::password::PasswordHash;
use super::role;
use crate::audit::{EventDetails, Origin, Subject, event};
use crate::database::now;
use crate::database::schema::{login_names, roles, users};
use crate::random;
use crate::tokens::owner::UserStatus;

diesel::define_sql_function! {
    /// Returns the position of an element, from 1.
    #[sql_name = "array_position"]
    fn place_in(list: Array<Text>, element: Text) -> Integer;
}

/// An account. Its password hash is read only to verify a password.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = users, check_for_backend(diesel::pg::Pg))]
pub struct User {
    /// A UUID version 7.
    pub id: Uuid,
    /// The name as it was typed.
    pub username: String,
    /// The e-mail address as it was typed.
    pub email: Option<String>,
    pub role: String,
    pub status: UserStatus,
    /// Increases with each change of the role or the status.
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// The time of the last sign-in.
    pub last_login_at: Option<DateTime<Utc>>,
}

impl User {
    /// Returns whether sign-ins are allowed.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.status.is_active()
    }
}

/// The data of an account that a sign-in needs.
#[derive(Clone, Debug)]
pub struct Login {
    pub user: User,
    /// The stored hash. `None` if no password has been set.
    pub password_hash: Option<String>,
    /// The role's permissions.
    pub permissions: Vec<String>,
}

/// Returns the account with a username or e-mail address, which may be folded or as typed.
pub fn find_login(connection: &mut PgConnection, name: &str) -> QueryResult<Option<Login>> {
    let forms = look_up_forms(name);
    login_names::table
        .inner_join(users::table.inner_join(roles::table))
        .filter(login_names::folded.eq_any(&forms))
        .order(place_in(&forms, login_names::folded))
        .select((User::as_select(), users::password_hash, roles::permissions))
        .first(connection)
        .optional()
        .map(|row| row.map(|(user, password_hash, permissions)| Login { user, password_hash, permissions }))
}

/// Returns the hash of a user's password, for verifying the password again.
pub fn find_password_hash(connection: &mut PgConnection, id: Uuid) -> QueryResult<Option<String>> {
    users::table.find(id).select(users::password_hash).first(connection).optional().map(Option::flatten)
}

/// Returns the highest bcrypt cost of the stored hashes, if any are stored.
pub fn find_highest_cost(connection: &mut PgConnection) -> QueryResult<Option<i16>> {
    users::table.select(diesel::dsl::max(users::password_cost)).first(connection)
}

pub fn find(connection: &mut PgConnection, id: Uuid) -> QueryResult<Option<User>> {
    users::table.find(id).select(User::as_select()).first(connection).optional()
}

/// Returns the account with a username or e-mail address.
pub fn find_by_name(connection: &mut PgConnection, name: &str) -> QueryResult<Option<User>> {
    let forms = look_up_forms(name);
    login_names::table
        .inner_join(users::table)
        .filter(login_names::folded.eq_any(&forms))
        .order(place_in(&forms, login_names::folded))
        .select(User::as_select())
        .first(connection)
        .optional()
}

/// Returns whether there are no users.
pub fn is_empty(connection: &mut PgConnection) -> QueryResult<bool> {
    diesel::select(diesel::dsl::not(diesel::dsl::exists(users::table.select(users::id))))
        .get_result(connection)
}

/// The conditions of a listing. All that are set must hold.
#[derive(Clone, Debug, Default)]
pub struct UserFilter {
    /// A part of the folded username or e-mail address.
    pub q: Option<String>,
    pub role: Option<String>,
    pub status: Option<UserStatus>,
    /// Lists only users created before this one, which is the last of the previous page.
    pub before: Option<Uuid>,
}

/// Returns at most `limit` users, the latest first.
pub fn list(connection: &mut PgConnection, filter: &UserFilter, limit: i64) -> QueryResult<Vec<User>> {
    let mut query = users::table.select(User::as_select()).into_boxed();
    if let Some(q) = &filter.q {
        let pattern = format!("%{}%", crate::database::escape_like(q));
        let in_email = users::email_folded.like(pattern.clone()).assume_not_null();
        query = query
            .filter(users::username_folded.like(pattern).or(users::email_folded.is_not_null().and(in_email)));
    }
    if let Some(role) = &filter.role {
        query = query.filter(users::role.eq(role));
    }
    if let Some(status) = &filter.status {
        query = query.filter(users::status.eq(status));
    }
    if let Some(before) = filter.before {
        query = query.filter(users::id.lt(before));
    }
    query.order(users::id.desc()).limit(limit).load(connection)
}

/// An account to create.
pub struct NewUser {
    pub username: Username,
    pub email: Option<EmailAddress>,
    /// `None` if the password will be set by a link.
    pub password_hash: Option<PasswordHash>,
    pub role: String,
}

/// The name that another account has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameTaken {
    /// Another account has this username, as its username or as its e-mail address.
    Username,
    /// Another account has this e-mail address, as its username or as its e-mail address.
    Email,
}

/// The outcome of creating an account.
pub enum InsertOutcome {
    /// The account was created.
    Inserted(User),
    /// Another account has one of its names.
    NameTaken(NameTaken),
    /// The role does not exist.
    UnknownRole,
    /// The caller lacks these permissions of the role.
    Denied(Vec<String>),
}

/// The accounts on which a caller can act without the permissions in [`OVER_ITSELF`](role::OVER_ITSELF).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exempt {
    /// None. For the caller's own account.
    None,
    /// Those that cannot change other accounts. For changes that could give the caller control of the
    /// account. Control of an account with `users:write` would lead back to the caller's own account.
    Ordinary,
    /// All. For changes that only take something away.
    All,
}

/// The permissions of the actor. No one can grant a permission that they lack.
#[derive(Clone, Debug)]
pub enum Authority {
    /// The command line or the server itself.
    Unlimited,
    /// A caller with these permissions.
    Limited {
        /// The permissions that both the role and the credential have.
        held: Vec<String>,
        /// The accounts that the caller can act on without the permissions over itself.
        exempt: Exempt,
    },
}

impl Authority {
    /// Returns the permissions in `wanted`, which are an account's, that the actor lacks.
    #[must_use]
    pub fn lacks(&self, wanted: &[String]) -> Vec<String> {
        let Self::Limited { held, exempt } = self else { return Vec::new() };
        let is_exempt = match exempt {
            Exempt::None => false,
            Exempt::Ordinary => !wanted.iter().any(|name| name == role::USERS_WRITE),
            Exempt::All => true,
        };
        let needs = |name: &&String| !(is_exempt && role::OVER_ITSELF.contains(&name.as_str()));
        let needed = wanted.iter().filter(needs);
        let mut lacking: Vec<String> = needed.filter(|name| !held.contains(name)).cloned().collect();
        lacking.sort_unstable();
        lacking.dedup();
        lacking
    }
}

/// Inserts an account, in the caller's transaction. A taken name breaks the transaction, so [`insert`] uses a
/// savepoint.
fn insert_row(connection: &mut PgConnection, new: &NewUser) -> QueryResult<User> {
    diesel::insert_into(users::table)
        .values((
            users::id.eq(random::id()),
            users::username.eq(new.username.as_str()),
            users::username_folded.eq(new.username.folded()),
            users::email.eq(new.email.as_ref().map(EmailAddress::as_str)),
            users::email_folded.eq(new.email.as_ref().map(EmailAddress::folded)),
            users::password_hash.eq(new.password_hash.as_ref().map(PasswordHash::expose)),
            users::role.eq(&new.role),
            users::created_at.eq(now()),
            users::updated_at.eq(now()),
        ))
        .returning(User::as_returning())
        .get_result(connection)
}

/// Creates an account.
pub fn insert(
    connection: &mut PgConnection,
    new: &NewUser,
    authority: &Authority,
    origin: &Origin,
) -> QueryResult<InsertOutcome> {
    let Some(permissions) = role::find_permissions(connection, &new.role)? else {
        return Ok(InsertOutcome::UnknownRole);
    };
    let lacking = authority.lacks(&permissions);
    if !lacking.is_empty() {
        return Ok(InsertOutcome::Denied(lacking));
    }
    // Use a savepoint, so that a taken name does not break the transaction.
    let inserted = connection.transaction(|connection| {
        let user = insert_row(connection, new)?;
        insert_aliases(connection, user.id, new.username.folded(), &new.username.aliases())?;
        if let Some(email) = &new.email {
            insert_aliases(connection, user.id, email.folded(), &email.aliases())?;
        }
        let subject = Subject { id: Some(user.id), name: Some(&user.username) };
        let details = EventDetails::UserCreated { role: user.role.clone() };
        event::insert(connection, origin, subject, &details)?;
        Ok(user)
    });
    match inserted {
        Ok(user) => Ok(InsertOutcome::Inserted(user)),
        Err(error) => match name_taken(&error, Some(&new.username)) {
            Some(taken) => Ok(InsertOutcome::NameTaken(taken)),
            None => Err(error),
        },
    }
}

/// Stores the other spellings of one of an account's names.
///
/// # Errors
/// PostgreSQL's. Another account may have one of the spellings.
pub(super) fn insert_aliases(
    connection: &mut PgConnection,
    user_id: Uuid,
    folded: &str,
    aliases: &[String],
) -> QueryResult<()> {
    if aliases.is_empty() {
        return Ok(());
    }
    diesel::sql_query(
        "INSERT INTO login_names (folded, user_id, alias_of) SELECT alias, $1, $2 FROM unnest($3) AS alias \
         WHERE NOT EXISTS (SELECT FROM login_names WHERE folded = alias AND user_id = $1)",
    )
    .bind::<diesel::sql_types::Uuid, _>(user_id)
    .bind::<Text, _>(folded)
    .bind::<Array<Text>, _>(aliases)
    .execute(connection)
    .map(|_| ())
}

/// Converts a violated constraint to the name that is taken.
pub(super) fn name_taken(error: &Error, username: Option<&Username>) -> Option<NameTaken> {
    let Error::DatabaseError(DatabaseErrorKind::UniqueViolation, info) = error else { return None };
    if info.constraint_name() != Some("login_names_pkey") {
        return None;
    }
    // PostgreSQL may phrase the text around it in another language. An e-mail address cannot contain a
    // bracket.
    let spellings = username.map(|name| [vec![name.folded().to_owned()], name.aliases()].concat());
    let is_username = info.details().is_some_and(|details| {
        spellings.iter().flatten().any(|spelling| details.contains(&format!("=({spelling})")))
    });
    Some(if is_username { NameTaken::Username } else { NameTaken::Email })
}

/// Locks a user's row until the transaction ends. Returns the user with the role's permissions. The lock
/// serialises changes of an account, and each change sees the current row.
pub fn lock(connection: &mut PgConnection, id: Uuid) -> QueryResult<Option<(User, Vec<String>)>> {
    let user: Option<User> =
        users::table.find(id).select(User::as_select()).for_no_key_update().first(connection).optional()?;
    let Some(user) = user else { return Ok(None) };
    // Treating a missing role as one without permissions would let anyone manage the account.
    let permissions = role::find_permissions(connection, &user.role)?.ok_or(diesel::NotFound)?;
    Ok(Some((user, permissions)))
}

/// Locks a user's row until the transaction ends, if the user exists.
pub fn lock_row(connection: &mut PgConnection, id: Uuid) -> QueryResult<()> {
    let row = users::table.find(id).select(users::id).for_no_key_update();
    row.first::<Uuid>(connection).optional().map(|_| ())
}

/// The answer to whether a caller may act on an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// The caller may.
    Granted,
    /// The account does not exist.
    NotFound,
    /// The account has these permissions, which the caller lacks.
    Denied(Vec<String>),
}

/// Checks whether a caller may act on the account. No one may act on an account with permissions that they
/// lack. The answer stays true until the caller's transaction ends.
pub fn check_access(connection: &mut PgConnection, id: Uuid, authority: &Authority) -> QueryResult<Access> {
    let Some((_, permissions)) = lock(connection, id)? else { return Ok(Access::NotFound) };
    let lacking = authority.lacks(&permissions);
    Ok(if lacking.is_empty() { Access::Granted } else { Access::Denied(lacking) })
}

#[cfg(test)]
mod tests {
    use diesel::result::DatabaseErrorInformation;

    use super::*;

    struct MissingReference(&'static str);

    impl DatabaseErrorInformation for MissingReference {
        fn message(&self) -> &str {
            ""
        }
        fn details(&self) -> Option<&str> {
            Some(self.0)
        }
        fn hint(&self) -> Option<&str> {
            None
        }
        fn table_name(&self) -> Option<&str> {
            None
        }
        fn column_name(&self) -> Option<&str> {
            None
        }
        fn constraint_name(&self) -> Option<&str> {
            Some("login_names_pkey")
        }
        fn statement_position(&self) -> Option<i32> {
            None
        }
    }

    #[test]
    fn authority_requires_account_permissions_for_indirect_control() {
        let names = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<String>>();
        let member = names("account:read account:write notes:read");
        let manager = names("account:read account:write notes:read users:write");
        for (exempt, of_member, of_manager) in
            [(Exempt::None, 2, 2), (Exempt::Ordinary, 0, 2), (Exempt::All, 0, 0)]
        {
            let authority = Authority::Limited { held: names("notes:read users:write"), exempt };
            let lacking = (authority.lacks(&member).len(), authority.lacks(&manager).len());
            assert_eq!(lacking, (of_member, of_manager), "{exempt:?}");
            let wide = Authority::Limited { held: manager.clone(), exempt };
            assert!(wide.lacks(&member).is_empty() && wide.lacks(&manager).is_empty(), "{exempt:?}");
        }
        assert!(Authority::Unlimited.lacks(&manager).is_empty());
    }

    #[test]
    fn taken_name_is_found_in_every_language_of_postgresql() {
        for (details, taken) in [
            ("Key (folded)=(alice) already exists.", NameTaken::Username),
            ("Schlüssel »(folded)=(alice)« existiert bereits.", NameTaken::Username),
            ("La clé « (folded)=(alice) » existe déjà.", NameTaken::Username),
            ("キー (folded)=(alice) はすでに存在します。", NameTaken::Username),
            ("Key (folded)=(alice@example.org) already exists.", NameTaken::Email),
            ("Schlüssel »(folded)=(al@example.org)« existiert bereits.", NameTaken::Email),
        ] {
            let error =
                Error::DatabaseError(DatabaseErrorKind::UniqueViolation, Box::new(MissingReference(details)));
            let alice = Username::parse("alice").expect("a name");
            assert_eq!(name_taken(&error, Some(&alice)), Some(taken), "{details}");
        }
    }
}
