//! Documents over plain HTTP: `/api/drafts`, `/api/pending`, and the same under
//! `/api/users/{userId}` for administrators.
//!
//! Each change becomes the same command as over WebSocket; bodies are put into a frame and read
//! by the same decoder, so the rules can't differ.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, OriginalUri, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use draftwire_protocol::Collection;
use draftwire_protocol::code::RejectionCode;
use draftwire_protocol::command::{ClientFrame, Command, Condition};
use draftwire_protocol::json::{Digest, Value, digest, object};
use draftwire_protocol::kind::names;
use draftwire_protocol::limits::{DATA_LEVELS_MAX, FRAME_LEVELS_MAX};
use draftwire_protocol::names::{DOCUMENT_ID_RULE, USER_ID_RULE, is_document_id, is_user_id};
use draftwire_store::{Answer, Author, IdempotencyKey, Submission};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::answer::{json, large_json};
use super::caller::{Admin, Caller};
use super::entity_tag::{condition, entity_tag, is_known};
use super::{Problem, body};
use crate::Realtime;
use crate::reads::Reads;

/// Characters of an `Idempotency-Key`.
const IDEMPOTENCY_KEY_CHARS_MAX: usize = 255;
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

pub(super) fn router(realtime: Realtime) -> Router {
    let mut router = Router::new();
    for prefix in ["/api", "/api/users/{userId}"] {
        for collection in Collection::ALL {
            let list = format!("{prefix}/{}", collection.name());
            router = router
                .route(
                    &list,
                    get(move |s, w, h| list_all(s, w, h, collection))
                        .post(move |s, w, r| change(s, w, r, Action::Create(collection))),
                )
                .route(
                    &format!("{list}/{{id}}"),
                    get(move |s, w, h| read(s, w, h, collection))
                        .patch(move |s, w, r| change(s, w, r, Action::Patch(collection)))
                        .put(move |s, w, r| change(s, w, r, Action::Put(collection)))
                        .delete(move |s, w, r| change(s, w, r, Action::Delete(collection))),
                );
        }
        let convert = format!("{prefix}/drafts/{{id}}/convert");
        router = router.route(&convert, post(move |s, w, r| change(s, w, r, Action::Convert)));
    }
    router.with_state(realtime)
}

/// Whose documents, who asks, and which document.
pub(super) struct Subject {
    user: Arc<str>,
    author: Author,
    id: Option<String>,
    /// The path above the collections.
    prefix: String,
}

impl FromRequestParts<Realtime> for Subject {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, realtime: &Realtime) -> Result<Self, Problem> {
        let path = RawPathParams::from_request_parts(parts, realtime)
            .await
            .map_err(|_| Problem::invalid("the path is not UTF-8"))?;
        let find = |name| path.iter().find(|(param, _)| *param == name).map(|(_, value)| value);
        let nested_in = nested_in(parts);
        let subject = match find("userId") {
            Some(user) => on_behalf(parts, realtime, user).await?,
            None => {
                let Caller(who) = Caller::from_request_parts(parts, realtime).await?;
                let prefix = "/api".to_owned();
                Self { user: who.user, author: Author::Device(None), id: None, prefix }
            }
        };
        if realtime.is_relay() {
            let detail = "this server relays events and keeps no documents: ask the backend";
            return Err(Problem::rejection(RejectionCode::Forbidden, detail));
        }
        let id = find("id").map(str::to_owned);
        if id.as_deref().is_some_and(|id| !is_document_id(id)) {
            return Err(Problem::invalid(format!("a document's id is {DOCUMENT_ID_RULE}")));
        }
        let prefix = format!("{nested_in}{}", subject.prefix);
        Ok(Self { id, prefix, ..subject })
    }
}

/// Where an application has nested these routes: what of the path the router has taken off.
fn nested_in(parts: &Parts) -> String {
    let original = parts.extensions.get::<OriginalUri>().map(|uri| uri.path());
    original.and_then(|path| path.strip_suffix(parts.uri.path())).unwrap_or_default().to_owned()
}

async fn on_behalf(parts: &mut Parts, realtime: &Realtime, user: &str) -> Result<Subject, Problem> {
    let Admin(who) = Admin::from_request_parts(parts, realtime).await?;
    if !is_user_id(user) {
        return Err(Problem::invalid(format!("a user's id is {USER_ID_RULE}")));
    }
    let prefix = format!("/api/users/{}", utf8_percent_encode(user, NON_ALPHANUMERIC));
    Ok(Subject { user: user.into(), author: Author::Service(who.user), id: None, prefix })
}

fn reads(realtime: &Realtime) -> Result<&Arc<Reads>, Problem> {
    realtime.reads().ok_or_else(|| Problem::rejection(RejectionCode::Forbidden, "no store"))
}

async fn list_all(
    State(realtime): State<Realtime>,
    subject: Subject,
    headers: HeaderMap,
    collection: Collection,
) -> Result<Response, Problem> {
    let reads = reads(&realtime)?;
    // A caller who polls mostly has it all: that is told from the head alone.
    let user = Arc::clone(&subject.user);
    let (head, _) = reads.ask(move |store| store.head(&user, None)).await?;
    let tag = entity_tag(&head.epoch, head.seq);
    if is_known(&headers, &tag) {
        return Ok(tagged(StatusCode::NOT_MODIFIED.into_response(), &tag));
    }
    let memory = reads.reserve(&subject.user).await?;
    let listing = reads.ask(move |store| store.list(&subject.user, collection)).await?;
    let tag = entity_tag(&listing.head.epoch, listing.head.seq);
    let body = object(|body| {
        body.array("items", listing.items.iter().map(String::as_str))
            .string("epoch", &listing.head.epoch)
            .integer("seq", listing.head.seq);
    });
    Ok(tagged(large_json(body, memory), &tag))
}

async fn read(
    State(realtime): State<Realtime>,
    subject: Subject,
    headers: HeaderMap,
    collection: Collection,
) -> Result<Response, Problem> {
    let Subject { user, id, .. } = subject;
    let id = id.unwrap_or_default();
    let found = reads(&realtime)?.ask(move |store| store.get(&user, collection, &id)).await?;
    let found = found.ok_or_else(|| {
        let detail = format!("there is no document with this id in {}", collection.name());
        Problem::rejection(RejectionCode::NotFound, detail)
    })?;
    let tag = entity_tag(&found.epoch, found.version);
    if is_known(&headers, &tag) {
        return Ok(tagged(StatusCode::NOT_MODIFIED.into_response(), &tag));
    }
    Ok(tagged(json(StatusCode::OK, found.document), &tag))
}

/// What is to be done to a document.
#[derive(Clone, Copy)]
enum Action {
    Create(Collection),
    Patch(Collection),
    Put(Collection),
    Delete(Collection),
    Convert,
}

impl Action {
    fn frame_type(self) -> &'static str {
        match self {
            Self::Create(Collection::Drafts) => names::DRAFT_CREATE,
            Self::Create(Collection::Pending) => names::PENDING_CREATE,
            Self::Patch(Collection::Drafts) | Self::Put(Collection::Drafts) => names::DRAFT_UPDATE,
            Self::Patch(Collection::Pending) | Self::Put(Collection::Pending) => {
                names::PENDING_UPDATE
            }
            Self::Delete(Collection::Drafts) => names::DRAFT_DELETE,
            Self::Delete(Collection::Pending) => names::PENDING_DELETE,
            Self::Convert => names::DRAFT_CONVERT,
        }
    }

    /// The payload of the frame that asks the same over WebSocket.
    fn payload(self, id: &str, body: Value<'_>) -> String {
        match self {
            Self::Create(_) => body.text().to_owned(),
            Self::Patch(_) => object(|p| {
                p.string("id", id).raw("patch", body.text());
            }),
            Self::Put(_) => object(|p| {
                p.string("id", id).raw("data", body.text());
            }),
            Self::Delete(_) => object(|p| {
                p.string("id", id);
            }),
            Self::Convert => object(|payload| {
                payload.string("id", id);
                for name in ["pendingId", "patch", "ifVersion"] {
                    if let Some(value) = body.get(name) {
                        payload.raw(name, value.text());
                    }
                }
            }),
        }
    }

    /// Levels the body may have, so that its data fits a frame.
    fn levels_max(self) -> usize {
        match self {
            Self::Create(_) | Self::Convert => DATA_LEVELS_MAX + 1,
            Self::Patch(_) | Self::Put(_) | Self::Delete(_) => DATA_LEVELS_MAX,
        }
    }
}

async fn change(
    State(realtime): State<Realtime>,
    subject: Subject,
    request: Request,
    action: Action,
) -> Result<Response, Problem> {
    let (parts, raw) = request.into_parts();
    let text = read_body(&realtime, raw, action).await?;
    let value = body::object(&text, action.levels_max())?;
    let id = subject.id.clone().unwrap_or_default();
    let payload = action.payload(&id, value);
    let condition = condition(&parts.headers)?;
    let idempotency = idempotency_key(&parts.headers, action, &payload, condition.as_ref())?;
    let submission = Submission {
        user: Arc::clone(&subject.user),
        author: subject.author,
        number: None,
        idempotency,
        wants_document: true,
        command: command(action, &payload, condition)?,
    };
    if matches!(submission.author, Author::Device(_)) {
        realtime.count_commands(&submission.user, 1).map_err(Problem::rate_limited)?;
    }
    let answer = realtime.submit(vec![submission]).await.pop();
    let answer = answer.unwrap_or_else(|| crate::committer::unavailable(None));
    Ok(respond(action, &subject.prefix, answer))
}

async fn read_body(realtime: &Realtime, raw: Body, action: Action) -> Result<String, Problem> {
    let settings = realtime.settings();
    let text = body::read(raw, settings.limits.frame_bytes, settings).await?;
    let may_be_empty = matches!(action, Action::Delete(_) | Action::Convert);
    Ok(if text.is_empty() && may_be_empty { "{}".into() } else { text })
}

fn command(
    action: Action,
    payload: &str,
    condition: Option<Condition>,
) -> Result<Command, Problem> {
    let frame = object(|frame| {
        frame.string("type", action.frame_type()).raw("payload", payload);
    });
    debug_assert!(Value::parse(&frame, FRAME_LEVELS_MAX).is_ok(), "bodies are checked to fit");
    let decoded = ClientFrame::decode(&frame).map_err(|error| Problem::invalid(error.message))?;
    let ClientFrame::Command { mut command, .. } = decoded else {
        return Err(Problem::invalid("this is no command on a document"));
    };
    match &mut command {
        Command::Update { condition: place, .. }
        | Command::Delete { condition: place, .. }
        | Command::Convert { condition: place, .. } => *place = condition.or(place.take()),
        Command::Refused { message } => {
            return Err(Problem::invalid(message.replace("payload.", "")));
        }
        Command::Create { .. } | Command::Skip => {}
    }
    Ok(command)
}

fn idempotency_key(
    headers: &HeaderMap,
    action: Action,
    payload: &str,
    condition: Option<&Condition>,
) -> Result<Option<IdempotencyKey>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).into_iter();
    let Some(value) = values.next() else { return Ok(None) };
    let key = value.to_str().unwrap_or_default();
    let visible = key.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    let fits = (1..=IDEMPOTENCY_KEY_CHARS_MAX).contains(&key.len());
    if !visible || !fits || values.next().is_some() {
        return Err(Problem::invalid(format!(
            "Idempotency-Key must stand once and be 1 to {IDEMPOTENCY_KEY_CHARS_MAX} visible \
             ASCII characters"
        )));
    }
    // What was asked: a patch is not a replacement, and a condition is part of the request.
    let replaces = matches!(action, Action::Put(_));
    let asked = format!("{} {replaces} {condition:?}", action.frame_type());
    let digest: Digest = digest(&asked, Value::from_checked(payload));
    Ok(Some(IdempotencyKey { key: key.to_owned(), digest }))
}

fn respond(action: Action, prefix: &str, answer: Answer) -> Response {
    if let Some(code) = answer.code {
        return Problem::from_answer(&answer, code).into_response();
    }
    let Some(document) = answer.document else { return StatusCode::NO_CONTENT.into_response() };
    let payload = Value::from_checked(&answer.payload);
    let version = payload.get("version").and_then(Value::as_integer).unwrap_or_default();
    let id = payload.get("id").and_then(Value::as_str).unwrap_or_default();
    let tag = entity_tag(&answer.epoch, version);
    let collection = match action {
        Action::Create(collection) => collection,
        Action::Convert => Collection::Pending,
        Action::Patch(_) | Action::Put(_) | Action::Delete(_) => {
            return tagged(json(StatusCode::OK, document), &tag);
        }
    };
    let mut response = tagged(json(StatusCode::CREATED, document), &tag);
    let location = format!("{prefix}/{}/{id}", collection.name());
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

fn tagged(mut response: Response, tag: &str) -> Response {
    if let Ok(tag) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}
