//! Notes over HTTP: `GET` and `POST /api/v1/notes`; `GET`, `PATCH`, `PUT` and `DELETE /api/v1/notes/{id}`.

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
use crate::http::fields::{Fields, FromFields};
use crate::http::pagination::{Page, PageRequest};
use crate::http::parameters;
use crate::http::request::{Json, Path, Query, not_found};
use crate::http::response::private;
use crate::refusal::{Code, Problem};
use crate::state::State;

/// How often a change is tried again when another one came between and no `If-Match` was sent.
const ATTEMPTS: usize = 5;

/// What a change reads: which note, under which conditions, and what is to stand in it.
type ConditionalWrite<B> = (Path<Uuid>, (Conditions, Json<B>));

/// A note.
#[derive(Serialize, utoipa::ToSchema)]
pub struct NoteItem {
    /// Its id.
    pub id: Uuid,
    /// Its title.
    #[schema(example = "Groceries")]
    pub title: String,
    /// Its text.
    #[schema(example = "Milk, bread")]
    pub body: String,
    /// Whether others may read it.
    pub shared: bool,
    /// Whose it is.
    pub owner: Owner,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it was last changed.
    #[schema(format = DateTime)]
    pub updated_at: String,
}

/// Whose a note is.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Owner {
    /// The user's id.
    pub id: Uuid,
    /// The user's name.
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

/// Which notes.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct NoteQuery {
    /// A part of the title or the text, in capitals or small letters, composed or not. A page of a search may have no
    /// items and still a `next_cursor`. 503 `overloaded` says that too much would have to be read: narrow the search.
    pub q: Option<String>,
    /// `me`: only one's own.
    #[param(pattern = "^me$")]
    #[serde(default, deserialize_with = "owner")]
    pub owner: Option<String>,
    /// Only shared ones, or only private ones.
    pub shared: Option<bool>,
    /// Items on a page, 1 to 200. A page ends earlier once its notes have 512 KiB of text, so it may have fewer items
    /// and still a `next_cursor`.
    #[param(default = 50, minimum = 1, maximum = 200)]
    #[serde(default, deserialize_with = "crate::http::pagination::limit")]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[param(min_length = 1)]
    #[serde(default, deserialize_with = "crate::http::pagination::cursor")]
    pub cursor: Option<String>,
}

/// Reads the parameter `owner`.
fn owner<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    parameters::one_of(deserializer, &["me"]).map(Some)
}

/// Lists one's own notes and the shared ones.
#[utoipa::path(get, path = "/api/v1/notes", tag = "notes", params(NoteQuery),
    responses((status = 200, description = "The notes, newest first", body = Page<NoteItem>)))]
pub async fn list(
    state: web::Data<State>,
    guarded: Authorized<NotesRead, Query<NoteQuery>>,
) -> Result<HttpResponse, Problem> {
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
    // An index has a plain list in its order, so it does not wait for searches.
    let listed =
        if is_search { state.core.database.search(find).await } else { state.core.database.run(find).await };
    let Listed { notes, next } = listed?;
    let items = notes.into_iter().map(item).collect();
    Ok(private(HttpResponse::Ok()).json(request.page_before(&state.core.secret_keys, items, next)))
}

/// What stands in a new note, or in the place of an old one.
#[derive(Clone, utoipa::ToSchema)]
pub struct NoteContent {
    /// 1 to 200 characters.
    #[schema(example = "Groceries", min_length = 1, max_length = 200)]
    pub title: String,
    /// At most 20,000 characters, and no more than fit into a request of 64 KiB.
    #[schema(example = "Milk, bread", max_length = 20_000)]
    pub body: String,
    /// Whether others may read it; not unless said.
    #[schema(default = false)]
    pub shared: Option<bool>,
}

impl FromFields for NoteContent {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let title = fields.text("title");
        let title = fields.label("title", title, TITLE_MAX);
        let body = fields.text("body");
        let body = fields.within("body", body, 0, BODY_MAX);
        let shared = fields.optional_flag("shared");
        Some(Self { title: title?, body: body?, shared })
    }
}

impl From<NoteContent> for Content {
    fn from(content: NoteContent) -> Self {
        Self { title: content.title, body: content.body, shared: content.shared.unwrap_or(false) }
    }
}

/// Makes a note.
#[utoipa::path(post, path = "/api/v1/notes", tag = "notes", request_body = NoteContent,
    responses((status = 201, description = "The note", body = NoteItem)))]
pub async fn create(
    state: web::Data<State>,
    guarded: Authorized<NotesWrite, Json<NoteContent>>,
) -> Result<HttpResponse, Problem> {
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
        (status = 304, description = "It is still what `If-None-Match` names")))]
pub async fn show(
    state: web::Data<State>,
    guarded: Authorized<NotesRead, (Path<Uuid>, Conditions)>,
) -> Result<HttpResponse, Problem> {
    let (Path(id), conditions) = &guarded.input;
    let note = find_visible(&state, &guarded.caller, *id).await?;
    let tag = entity_tag(&note);
    conditions.check_match(&tag)?;
    if conditions.is_unmodified(&tag) {
        return Ok(private(HttpResponse::NotModified()).insert_header((ETAG, tag)).finish());
    }
    Ok(private(HttpResponse::Ok()).insert_header((ETAG, tag)).json(item(note)))
}

/// Changes of a note; what is left out stays.
#[derive(Clone, utoipa::ToSchema)]
pub struct NoteChanges {
    /// 1 to 200 characters on one line.
    #[schema(value_type = String, required = false, min_length = 1, max_length = 200)]
    pub title: Option<String>,
    /// At most 20,000 characters, and no more than fit into a request of 64 KiB.
    #[schema(value_type = String, required = false, max_length = 20_000)]
    pub body: Option<String>,
    /// Whether others may read it.
    #[schema(value_type = bool, required = false)]
    pub shared: Option<bool>,
}

impl FromFields for NoteChanges {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let title = fields.changed_text("title");
        let title = fields.label("title", title, TITLE_MAX);
        let body = fields.changed_text("body");
        let body = fields.within("body", body, 0, BODY_MAX);
        let shared = fields.changed_flag("shared");
        Some(Self { title, body, shared })
    }
}

impl NoteChanges {
    fn applied_to(&self, note: &Note) -> Content {
        Content {
            title: self.title.clone().unwrap_or_else(|| note.title.clone()),
            body: self.body.clone().unwrap_or_else(|| note.body.clone()),
            shared: self.shared.unwrap_or(note.shared),
        }
    }
}

/// Changes a note.
#[utoipa::path(patch, path = "/api/v1/notes/{id}", tag = "notes", params(("id" = Uuid, Path), IfMatch),
    request_body = NoteChanges, responses((status = 200, description = "The note, changed", body = NoteItem)))]
pub async fn update(
    state: web::Data<State>,
    guarded: Authorized<NotesWrite, ConditionalWrite<NoteChanges>>,
) -> Result<HttpResponse, Problem> {
    let (Path(id), (conditions, Json(changes))) = guarded.input;
    write(&state, &guarded.caller, id, &conditions, |note| changes.applied_to(note)).await
}

/// Replaces a note's content.
#[utoipa::path(put, path = "/api/v1/notes/{id}", tag = "notes", params(("id" = Uuid, Path), IfMatch),
    request_body = NoteContent, responses((status = 200, description = "The note, replaced", body = NoteItem)))]
pub async fn replace(
    state: web::Data<State>,
    guarded: Authorized<NotesWrite, ConditionalWrite<NoteContent>>,
) -> Result<HttpResponse, Problem> {
    let (Path(id), (conditions, Json(content))) = guarded.input;
    write(&state, &guarded.caller, id, &conditions, |_| content.clone().into()).await
}

async fn write(
    state: &State,
    caller: &Caller,
    id: Uuid,
    conditions: &Conditions,
    change: impl Fn(&Note) -> Content,
) -> Result<HttpResponse, Problem> {
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
    responses((status = 204, description = "It is deleted")))]
pub async fn delete(
    state: web::Data<State>,
    guarded: Authorized<NotesWrite, (Path<Uuid>, Conditions)>,
) -> Result<HttpResponse, Problem> {
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

fn changed_meanwhile() -> Problem {
    let detail = "Others keep changing this note; read it again and send `If-Match` with its ETag.";
    Problem::new(Code::Conflict, detail)
}

async fn find_visible(state: &State, caller: &Caller, id: Uuid) -> Result<Note, Problem> {
    let found = state.core.database.run(move |connection| note::find(connection, id)).await?;
    found.filter(|note| is_visible(caller, note)).ok_or_else(not_found)
}

fn is_visible(caller: &Caller, note: &Note) -> bool {
    note.shared || note.owner_id == caller.user_id || caller.may(NOTES_MANAGE)
}

/// Refuses a caller who may not change this note.
fn check_owner(caller: &Caller, note: &Note) -> Result<(), Problem> {
    if note.owner_id == caller.user_id || caller.may(NOTES_MANAGE) {
        return Ok(());
    }
    if !is_visible(caller, note) {
        return Err(not_found());
    }
    let detail = format!("The note is {}'s; only its owner may change it.", note.owner_name);
    Err(Problem::new(Code::NotOwner, detail))
}

/// The note, if the caller may change it and it is still what `If-Match` names.
async fn find_own(
    state: &State,
    caller: &Caller,
    id: Uuid,
    conditions: &Conditions,
) -> Result<Note, Problem> {
    let note = find_visible(state, caller, id).await?;
    check_owner(caller, &note)?;
    conditions.check(&entity_tag(&note))?;
    Ok(note)
}
