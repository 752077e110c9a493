//! The HTTP handlers of notes: `GET` and `POST /api/v1/notes`; `GET`, `PATCH`, `PUT` and
//! `DELETE /api/v1/notes/{id}`.

use actix_web::http::header::{ETAG, LOCATION};
use actix_web::{HttpResponse, web};
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use super::note::{self, BODY_MAX, Content, Listed, Note, TITLE_MAX};
use super::permissions::{NOTES_MANAGE, NotesRead, NotesWrite};
use super::search::Filter;
use crate::database::Connection;
use crate::database::folded_text::Needle;
use crate::guard::{Authorized, Caller, refusals, rejudge};
use crate::http::conditions::{Conditions, IfMatch, IfNoneMatch};
use crate::http::fields::{Changed, Flag, Label, Text, json_object};
use crate::http::pagination::{Cursor, Page, PageRequest, PageSize};
use crate::http::parameters;
use crate::http::request::{Json, Path, Query};
use crate::http::response::private;
use crate::refusal::{Code, Refusal, not_found};
use crate::state::State;

/// The number of attempts at a change if other requests change the note in between. With `If-Match`, the
/// second attempt fails the condition instead.
const ATTEMPTS: usize = 5;

/// The input of a change: the ID of the note, the conditions, and the body.
type ConditionalWrite<B> = (Path<Uuid>, (Conditions, Json<B>));

/// A note.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct NoteItem {
    /// The ID of the note.
    pub id: Uuid,
    /// The title of the note.
    #[schema(example = "Groceries")]
    pub title: String,
    /// The text of the note.
    #[schema(example = "Milk, bread")]
    pub body: String,
    /// True if other users may read the note.
    pub shared: bool,
    /// The user who owns the note.
    pub owner: Owner,
    /// The time when the note was created.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// The time when the note was last changed.
    #[schema(format = DateTime)]
    pub updated_at: String,
}

/// The owner of a note.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Owner {
    /// The ID of the user.
    pub id: Uuid,
    /// The username of the user.
    #[schema(example = "alice")]
    pub username: String,
}

fn item(note: Note) -> NoteItem {
    NoteItem {
        id: note.id,
        title: note.title,
        body: note.body,
        shared: note.shared,
        owner: Owner { id: note.owner_id, username: note.owner_name },
        created_at: refusals::time(note.created_at),
        updated_at: refusals::time(note.updated_at),
    }
}

fn entity_tag(note: &Note) -> String {
    format!("\"{}\"", note.version)
}

/// The filters and the requested page of a list of notes.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct NoteQuery {
    /// A part of the title or the text. Case and Unicode normalization do not matter. A page of results may
    /// be empty and still have a `next_cursor`. If the search takes too long, the response is 503
    /// `overloaded`; narrow the search then.
    pub q: Option<String>,
    /// `me` lists only the caller's own notes.
    #[param(pattern = "^me$")]
    #[serde(default, deserialize_with = "owner")]
    pub owner: Option<String>,
    /// True lists only shared notes, false only private ones.
    pub shared: Option<bool>,
    /// The number of items per page, 1 to 200. A page also ends once its notes have 512 KiB of text. It may
    /// thus have fewer items and still a `next_cursor`.
    #[param(inline)]
    pub limit: Option<PageSize>,
    /// The `next_cursor` of the previous page.
    #[param(inline)]
    pub cursor: Option<Cursor>,
}

/// Parses the parameter `owner`, which accepts only `me`.
fn owner<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    parameters::one_of(deserializer, &["me"]).map(Some)
}

/// Lists the caller's own notes and the shared ones, newest first.
///
/// With `notes:manage`, the list also has the private notes of other users.
#[utoipa::path(get, path = "/api/v1/notes", tag = "notes", params(NoteQuery),
    responses((status = 200, description = "The notes, newest first", body = Page<NoteItem>)))]
pub(crate) async fn list(
    state: web::Data<State>,
    guarded: Authorized<NotesRead, Query<NoteQuery>>,
) -> Result<HttpResponse, Refusal> {
    let (caller, Query(query)) = (guarded.caller, guarded.input);
    let list = format!("notes of {} {:?} {:?} {:?}", caller.user_id, query.q, query.owner, query.shared);
    let request = PageRequest::read(&state.core.secret_keys, list, query.limit, query.cursor.as_deref())?;
    let filter = Filter {
        visible_to: (!caller.may(NOTES_MANAGE)).then_some(caller.user_id),
        owner_id: query.owner.map(|_| caller.user_id),
        shared: query.shared,
        q: query.q.filter(|q| !q.is_empty()).map(|q| Needle::new(&q)),
        before: request.before,
    };
    let (limit, is_search) = (request.limit(), filter.q.is_some());
    let find = move |connection: &mut Connection| note::list(connection, &filter, limit);
    // A plain list reads an index in its order. It is fast, so it does not queue with searches.
    let listed =
        if is_search { state.core.database.search(find).await } else { state.core.database.run(find).await };
    let Listed { notes, next } = listed?;
    let items = notes.into_iter().map(item).collect();
    Ok(private(HttpResponse::Ok()).json(request.page_before(items, next)))
}

/// The title and the text of a note, as a request contains them.
type Title = Label<TITLE_MAX>;
type Body = Text<0, BODY_MAX>;

json_object! {
    /// The content of a new note, or the content that replaces an existing one.
    pub struct NoteContent {
        /// The title: 1 to 200 characters on one line.
        #[example = "Groceries"]
        pub title: Title,
        /// The text: at most 20,000 characters. The whole request must also fit into 64 KiB.
        #[example = "Milk, bread"]
        pub body: Body,
        /// True if other users may read the note.
        pub shared: Flag<false>,
    }
}

impl From<NoteContent> for Content {
    fn from(content: NoteContent) -> Self {
        Self { title: content.title.0, body: content.body.0, shared: content.shared.0 }
    }
}

/// Creates a note.
#[utoipa::path(post, path = "/api/v1/notes", tag = "notes", request_body = NoteContent,
    responses((status = 201, description = "The note", body = NoteItem)))]
pub(crate) async fn create(
    state: web::Data<State>,
    guarded: Authorized<NotesWrite, Json<NoteContent>>,
) -> Result<HttpResponse, Refusal> {
    let (owner_id, Json(content)) = (guarded.caller.user_id, guarded.input);
    let content = Content::from(content);
    let insert = move |connection: &mut Connection, _: &Caller| {
        Ok(note::insert(connection, owner_id, &content)?.ok_or_else(refusals::account_deleted))
    };
    let note = rejudge::transaction(&state, &guarded.caller, None, insert).await?;
    let location = format!("/api/v1/notes/{}", note.id);
    Ok(private(HttpResponse::Created())
        .insert_header((LOCATION, location))
        .insert_header((ETAG, entity_tag(&note)))
        .json(item(note)))
}

/// Shows a note.
#[utoipa::path(get, path = "/api/v1/notes/{id}", tag = "notes", params(("id" = Uuid, Path), IfNoneMatch),
    responses((status = 200, description = "The note", body = NoteItem),
        (status = 304, description = "Still the version that `If-None-Match` names")))]
pub(crate) async fn show(
    state: web::Data<State>,
    guarded: Authorized<NotesRead, (Path<Uuid>, Conditions)>,
) -> Result<HttpResponse, Refusal> {
    let (Path(id), conditions) = &guarded.input;
    let note = find_visible(&state, &guarded.caller, *id).await?;
    let tag = entity_tag(&note);
    conditions.check_match(&tag)?;
    if conditions.is_unmodified(&tag) {
        return Ok(private(HttpResponse::NotModified()).insert_header((ETAG, tag)).finish());
    }
    Ok(private(HttpResponse::Ok()).insert_header((ETAG, tag)).json(item(note)))
}

json_object! {
    /// The changes to a note. Omitted members stay as they are.
    pub(crate) struct NoteChanges {
        /// The new title: 1 to 200 characters on one line.
        pub title: Changed<Title>,
        /// The new text: at most 20,000 characters. The whole request must also fit into 64 KiB.
        pub body: Changed<Body>,
        /// True if other users may read the note.
        pub shared: Changed<bool>,
    }
}

impl NoteChanges {
    fn applied_to(&self, note: &Note) -> Content {
        let Self { title, body, shared } = self.clone();
        Content {
            title: title.0.map_or_else(|| note.title.clone(), |Label(title)| title),
            body: body.0.map_or_else(|| note.body.clone(), |Text(body)| body),
            shared: shared.0.unwrap_or(note.shared),
        }
    }
}

/// Changes the given members of a note.
#[utoipa::path(patch, path = "/api/v1/notes/{id}", tag = "notes", params(("id" = Uuid, Path), IfMatch),
    request_body = NoteChanges, responses((status = 200, description = "The changed note", body = NoteItem)))]
pub(crate) async fn update(
    state: web::Data<State>,
    guarded: Authorized<NotesWrite, ConditionalWrite<NoteChanges>>,
) -> Result<HttpResponse, Refusal> {
    let (Path(id), (conditions, Json(changes))) = guarded.input;
    write(&state, &guarded.caller, id, &conditions, |note| changes.applied_to(note)).await
}

/// Replaces the whole content of a note.
#[utoipa::path(put, path = "/api/v1/notes/{id}", tag = "notes", params(("id" = Uuid, Path), IfMatch),
    request_body = NoteContent, responses((status = 200, description = "The replaced note", body = NoteItem)))]
pub(crate) async fn replace(
    state: web::Data<State>,
    guarded: Authorized<NotesWrite, ConditionalWrite<NoteContent>>,
) -> Result<HttpResponse, Refusal> {
    let (Path(id), (conditions, Json(content))) = guarded.input;
    write(&state, &guarded.caller, id, &conditions, |_| content.clone().into()).await
}

/// Writes the content that `change` returns for the current note. Starts over if another request changes the
/// note in between.
async fn write(
    state: &State,
    caller: &Caller,
    id: Uuid,
    conditions: &Conditions,
    change: impl Fn(&Note) -> Content,
) -> Result<HttpResponse, Refusal> {
    for _ in 0..ATTEMPTS {
        let note = find_own(state, caller, id, conditions).await?;
        let content = change(&note);
        let update = move |connection: &mut Connection, caller: &Caller| match check_owner(caller, &note) {
            Ok(()) => note::update(connection, &note, &content).map(Ok),
            Err(refused) => Ok(Err(refused)),
        };
        let updated = rejudge::transaction(state, caller, None, update).await?;
        if let Some(note) = updated {
            return Ok(private(HttpResponse::Ok()).insert_header((ETAG, entity_tag(&note))).json(item(note)));
        }
    }
    Err(changed_meanwhile())
}

/// Deletes a note.
#[utoipa::path(delete, path = "/api/v1/notes/{id}", tag = "notes", params(("id" = Uuid, Path), IfMatch),
    responses((status = 204, description = "The note was deleted")))]
pub(crate) async fn delete(
    state: web::Data<State>,
    guarded: Authorized<NotesWrite, (Path<Uuid>, Conditions)>,
) -> Result<HttpResponse, Refusal> {
    let (Path(id), conditions) = guarded.input;
    for _ in 0..ATTEMPTS {
        let note = find_own(&state, &guarded.caller, id, &conditions).await?;
        let delete = move |connection: &mut Connection, caller: &Caller| match check_owner(caller, &note) {
            Ok(()) => note::delete(connection, &note).map(Ok),
            Err(refused) => Ok(Err(refused)),
        };
        if rejudge::transaction(&state, &guarded.caller, None, delete).await? {
            return Ok(private(HttpResponse::NoContent()).finish());
        }
    }
    Err(changed_meanwhile())
}

fn changed_meanwhile() -> Refusal {
    let detail = "Others keep changing this note. Read it again and send `If-Match` with its ETag.";
    Refusal::new(Code::Conflict, detail)
}

/// Returns a note that the caller may see. Otherwise refuses with `not_found`, so that the caller cannot
/// learn that the note exists.
async fn find_visible(state: &State, caller: &Caller, id: Uuid) -> Result<Note, Refusal> {
    let found = state.core.database.run(move |connection| note::find(connection, id)).await?;
    found.filter(|note| is_visible(caller, note)).ok_or_else(not_found)
}

fn is_visible(caller: &Caller, note: &Note) -> bool {
    note.shared || note.owner_id == caller.user_id || caller.may(NOTES_MANAGE)
}

/// Refuses a caller who is not allowed to change the note. The code is `not_owner`, or `not_found` if they
/// are not allowed to see the note either.
fn check_owner(caller: &Caller, note: &Note) -> Result<(), Refusal> {
    if note.owner_id == caller.user_id || caller.may(NOTES_MANAGE) {
        return Ok(());
    }
    if !is_visible(caller, note) {
        return Err(not_found());
    }
    let detail = format!("The note belongs to {}. Only its owner can change it.", note.owner_name);
    Err(Refusal::new(Code::NotOwner, detail))
}

/// Returns the note if the caller may change it and the conditions of the request hold.
async fn find_own(
    state: &State,
    caller: &Caller,
    id: Uuid,
    conditions: &Conditions,
) -> Result<Note, Refusal> {
    let note = find_visible(state, caller, id).await?;
    check_owner(caller, &note)?;
    conditions.check(&entity_tag(&note))?;
    Ok(note)
}
