//! What a connector tells and asks the workspace: its health, its OAuth grant, tasks and blobs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::configure;
use super::feed::{Happening, cut};
use super::limits::{BLOB_BYTES, BLOBS, HEALTH_BYTES, LABEL_BYTES, META_BYTES, TASK_BYTES, TASKS};
use super::seats::Health;
use super::session::Session;
use super::store::blobs::{self, Blob};
use super::store::tasks;
use crate::ids::fresh_id;
use crate::workspace::packet::{Packet, raw};

/// Handles one packet and answers it where it wants an answer.
pub async fn handle(
    session: &Session,
    method: &str,
    key: Option<String>,
    arguments: Option<Box<RawValue>>,
) {
    let said = arguments.as_deref().map_or("{}", RawValue::get);
    let answer = match method {
        "connector.health.check" => health(session, said).map(|()| json!({})),
        "connector.config-update" => config_update(session, said).await.map(|()| json!({})),
        "connector.task.new" => new_task(session, said).await,
        "connector.task.update" => update_task(session, said).await,
        "connector.blob.create" => create_blob(session, said).await,
        "connector.blob.get" => get_blob(session, said).await,
        "connector.blob.get-content" => get_content(session, said).await,
        other => Err(Refused(format!("there is no method `{other}`"))),
    };
    let answer = answer.unwrap_or_else(|Refused(text)| {
        tracing::warn!(connector = &*session.seat.connector, "{method}: {text}");
        json!({"error": text})
    });
    if let Some(key) = key {
        session.seat.outbox.push_when_room(Packet::answer(&key, raw(&answer))).await;
    }
}

/// Why a request is refused, as the connector reads it.
struct Refused(String);

impl From<anyhow::Error> for Refused {
    fn from(error: anyhow::Error) -> Self {
        tracing::error!("local workspace: {error:#}");
        Self("the workspace's store failed".into())
    }
}

/// Which task or blob.
#[derive(Deserialize)]
struct Which {
    id: String,
}

#[derive(Deserialize)]
struct HealthSaid {
    #[serde(default)]
    ok: bool,
    error: Option<String>,
}

fn health(session: &Session, said: &str) -> Result<(), Refused> {
    let HealthSaid { ok, error } = read(said)?;
    let mut text = error.unwrap_or_default();
    cut(&mut text, HEALTH_BYTES);
    let health = Health { ok, problems: text.lines().map(str::to_owned).collect() };
    if session.seat.feels(&session.live, health.clone()) {
        session.hub.feed.tell(&session.seat.connector, Happening::Health(json!(health)));
    }
    Ok(())
}

#[derive(Deserialize)]
struct ConfigUpdate {
    value: String,
}

async fn config_update(session: &Session, said: &str) -> Result<(), Refused> {
    let ConfigUpdate { value } = read(said)?;
    configure::keep_grant(&session.hub, &session.seat, value).await?.map_err(Refused)
}

#[derive(Deserialize)]
struct NewTask {
    #[serde(default)]
    name: String,
    a: Option<Box<RawValue>>,
}

async fn new_task(session: &Session, said: &str) -> Result<Value, Refused> {
    let NewTask { name, a } = read(said)?;
    let data = task_data(a)?;
    within("the name", name.len(), LABEL_BYTES)?;
    let (id, connector) = (fresh_id(), session.seat.connector.to_string());
    let answer = json!({"id": id});
    let add = move |store: &rusqlite::Connection| tasks::add(store, &id, &connector, &name, &data);
    match session.hub.store.with(add).await? {
        true => Ok(answer),
        false => Err(Refused(format!("the workspace keeps {TASKS} tasks at most"))),
    }
}

#[derive(Deserialize)]
struct TaskUpdate {
    id: String,
    a: Option<Box<RawValue>>,
}

async fn update_task(session: &Session, said: &str) -> Result<Value, Refused> {
    let TaskUpdate { id, a } = read(said)?;
    let data = task_data(a)?;
    let answer = json!({"id": id});
    let missing = Refused(format!("there is no task `{id}`"));
    match session.hub.store.with(move |store| tasks::update(store, &id, &data)).await? {
        true => Ok(answer),
        false => Err(missing),
    }
}

fn task_data(data: Option<Box<RawValue>>) -> Result<String, Refused> {
    let data = data.as_deref().map_or("null", RawValue::get).to_owned();
    within("the task's data", data.len(), TASK_BYTES)?;
    Ok(data)
}

/// The size is counted here, whatever the connector says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewBlob {
    content: String,
    name: Option<String>,
    mimetype: Option<String>,
    meta: Option<Value>,
    task_id: Option<String>,
}

async fn create_blob(session: &Session, said: &str) -> Result<Value, Refused> {
    let NewBlob { content, name, mimetype, meta, task_id } = read(said)?;
    let meta = meta.filter(|meta| !meta.is_null());
    for text in [&name, &mimetype, &task_id].into_iter().flatten() {
        within("a name", text.len(), LABEL_BYTES)?;
    }
    within("`meta`", meta.as_ref().map_or(0, |meta| meta.to_string().len()), META_BYTES)?;
    let content = STANDARD
        .decode(content)
        .map_err(|error| Refused(format!("`content` is not base64: {error}")))?;
    within("the content", content.len(), BLOB_BYTES)?;
    let size = i64::try_from(content.len()).unwrap_or(i64::MAX);
    let blob = Blob { id: fresh_id(), name, size, mimetype, meta, task: task_id };
    let answer = json!({"id": blob.id});
    let connector = session.seat.connector.to_string();
    match session
        .hub
        .store
        .with(move |store| blobs::add(store, &connector, &blob, &content))
        .await?
    {
        true => Ok(answer),
        false => Err(Refused(format!("the workspace is full: {BLOBS} blobs or too many bytes"))),
    }
}

async fn get_blob(session: &Session, said: &str) -> Result<Value, Refused> {
    let Which { id } = read(said)?;
    let missing = no_blob(&id);
    let blob = session.hub.store.with(move |store| blobs::get(store, &id)).await?;
    blob.map(|blob| json!(blob)).ok_or(missing)
}

async fn get_content(session: &Session, said: &str) -> Result<Value, Refused> {
    #[derive(Serialize)]
    struct Content {
        content: String,
    }
    let Which { id } = read(said)?;
    let missing = no_blob(&id);
    let content = session.hub.store.with(move |store| blobs::content(store, &id)).await?;
    let content = content.ok_or(missing)?;
    Ok(json!(Content { content: STANDARD.encode(content) }))
}

fn no_blob(id: &str) -> Refused {
    Refused(format!("there is no blob `{id}`"))
}

fn within(what: &str, bytes: usize, most: usize) -> Result<(), Refused> {
    if bytes > most {
        return Err(Refused(format!("{what} has {bytes} bytes; the workspace takes {most}")));
    }
    Ok(())
}

fn read<T: DeserializeOwned>(said: &str) -> Result<T, Refused> {
    serde_json::from_str(said).map_err(|error| Refused(format!("wrong arguments: {error}")))
}
