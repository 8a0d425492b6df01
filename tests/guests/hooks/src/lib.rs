//! A connector that uses every part of the contract, so that the tests can look at each.

use std::collections::BTreeMap;
use std::time::Duration;

use aloma_connector::workspace::{self, NewBlob};
use aloma_connector::{
    Context, EndpointMode, Error, Field, Result, Setup, config, connector, http, info, join_all,
    time,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The controller.
#[derive(Default)]
pub struct Hooks;

/// Anything.
#[derive(Deserialize, JsonSchema)]
pub struct Anything {
    value: Value,
}

/// A contact.
#[derive(Deserialize, JsonSchema)]
pub struct Contact {
    /// who the contact is
    name: String,
    /// how to reach them
    phone: Option<String>,
}

/// A failure to make.
#[derive(Deserialize, JsonSchema)]
pub struct Failing {
    message: String,
}

/// A pause.
#[derive(Deserialize, JsonSchema)]
pub struct Pause {
    milliseconds: u64,
}

/// A configuration field.
#[derive(Deserialize, JsonSchema)]
pub struct Key {
    key: String,
}

/// A request and how to send it.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sending {
    url: String,
    method: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
    attempts: Option<u32>,
    timeout_ms: Option<u64>,
    idempotency_key: Option<String>,
    credential: Option<String>,
}

/// The same request, often.
#[derive(Deserialize, JsonSchema)]
pub struct Many {
    url: String,
    count: usize,
}

/// An answer.
#[derive(Serialize, JsonSchema)]
pub struct Answered {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

/// A task to make.
#[derive(Deserialize, JsonSchema)]
pub struct NewTask {
    name: String,
    data: Value,
}

/// A task to change.
#[derive(Deserialize, JsonSchema)]
pub struct TaskUpdate {
    id: String,
    data: Value,
}

/// A file to store.
#[derive(Deserialize, JsonSchema)]
pub struct NewFile {
    text: String,
    name: Option<String>,
}

/// A stored file.
#[derive(Deserialize, JsonSchema)]
pub struct FileId {
    id: String,
}

/// A log line.
#[derive(Deserialize, JsonSchema)]
pub struct Line {
    text: String,
}

/// Uses every part of the contract.
#[connector]
impl Hooks {
    #[setup]
    fn setup() -> Setup {
        let knob = |key: &str| Field::line(key).plain().optional();
        Setup::new()
            .field(Field::line("API_KEY").name("API key").optional())
            .field(Field::number("NUMBER").plain().optional())
            .field(Field::boolean("FLAG").plain().optional())
            .field(knob("TEXT"))
            .field(knob("FAIL_START"))
            .field(knob("UNWELL"))
            .field(knob("BAD_CONFIG"))
            .endpoint(EndpointMode::Enabled)
            .asks("https://api.example.com", "to have something to ask for")
    }

    #[start]
    async fn start(&self) -> Result<()> {
        info!("hooks: started");
        fail_if_set("FAIL_START")
    }

    #[stop]
    async fn stop(&self, shutdown: bool) -> Result<()> {
        info!("hooks: stopped, shutdown = {shutdown}");
        Ok(())
    }

    #[health_check]
    async fn health_check(&self) -> Result<()> {
        fail_if_set("UNWELL")
    }

    #[config_check]
    async fn config_check(&self, fields: Value) -> Result<()> {
        fields["BAD_CONFIG"].as_str().map_or(Ok(()), |text| Err(Error::msg(text)))
    }

    #[autocomplete]
    async fn autocomplete(&self, arguments: Value) -> Result<Value> {
        Ok(json!({"hook": "autocomplete", "arguments": arguments}))
    }

    #[endpoint]
    async fn endpoint(&self, arguments: Value) -> Result<Value> {
        Ok(json!({"hook": "endpoint", "arguments": arguments}))
    }

    #[fallback]
    async fn fallback(&self, name: &str, arguments: Value) -> Result<Value> {
        Ok(json!({"hook": "fallback", "name": name, "arguments": arguments}))
    }

    /// answers what it is given
    #[action(read_only, idempotent)]
    pub async fn echo(&self, anything: Anything) -> Result<Value> {
        Ok(anything.value)
    }

    /// answers nothing
    pub async fn nothing(&self) -> Result<()> {
        Ok(())
    }

    /// makes a contact
    #[action(name = "crm.contacts.create")]
    pub async fn create_contact(&self, contact: Contact) -> Result<Value> {
        if let Some(phone) = contact.phone {
            info!("hooks: reached at {phone}");
        }
        Ok(json!({"created": contact.name}))
    }

    /// tells what came with the call
    pub async fn context(&self, context: Context) -> Result<Value> {
        let Context { task_id, namespace, sticky, .. } = context;
        Ok(json!({"taskId": task_id, "namespace": namespace, "sticky": sticky}))
    }

    /// fails
    pub async fn fail(&self, failing: Failing) -> Result<()> {
        Err(Error::new("asked-for", failing.message))
    }

    /// waits
    pub async fn sleep(&self, pause: Pause) -> Result<()> {
        time::sleep(Duration::from_millis(pause.milliseconds)).await;
        Ok(())
    }

    /// reads a configuration field
    #[action(read_only)]
    pub async fn read_config(&self, key: Key) -> Result<Value> {
        Ok(json!({"value": config::get(&key.key)}))
    }

    /// reads a configuration field and tells it backwards, so that nobody recognises a secret
    #[action(read_only)]
    pub async fn read_config_backwards(&self, key: Key) -> Result<Value> {
        let value = config::get(&key.key).map(|text| text.chars().rev().collect::<String>());
        Ok(json!({ "value": value }))
    }

    /// logs a configuration field, and fails with it
    pub async fn leak_config(&self, key: Key) -> Result<()> {
        let value = config::require(&key.key)?;
        info!("hooks: the value is {value}");
        Err(Error::new("leak", format!("the value is {value}")))
    }

    /// logs a line
    pub async fn log(&self, line: Line) -> Result<()> {
        info!("{}", line.text);
        Ok(())
    }

    /// sends a request
    pub async fn send(&self, sending: Sending) -> Result<Answered> {
        Ok(answered(sending.builder().send().await?))
    }

    /// sends a request with the configured API key
    pub async fn send_key(&self, sending: Sending) -> Result<Answered> {
        let key = config::require("API_KEY")?;
        Ok(answered(sending.builder().bearer_auth(key).send().await?))
    }

    /// sends a request several times at once
    pub async fn many(&self, many: Many) -> Result<Value> {
        let requests = (0..many.count).map(|_| http::get(&many.url).send());
        let answers: Result<Vec<_>, _> = join_all(requests).await.into_iter().collect();
        let statuses: Vec<u16> = answers?.iter().map(http::Response::status).collect();
        Ok(json!({ "statuses": statuses }))
    }

    /// makes a task
    pub async fn new_task(&self, task: NewTask) -> Result<Value> {
        workspace::new_task(&task.name, &task.data).await
    }

    /// changes a task
    pub async fn update_task(&self, task: TaskUpdate) -> Result<Value> {
        workspace::update_task(&task.id, &task.data).await
    }

    /// stores a file
    pub async fn store_file(&self, file: NewFile) -> Result<Value> {
        let blob = NewBlob {
            content: file.text.into_bytes(),
            name: file.name,
            mimetype: Some("text/plain".into()),
            ..NewBlob::default()
        };
        Ok(json!({"id": workspace::create_blob(blob).await?}))
    }

    /// reads a file
    pub async fn read_file(&self, file: FileId) -> Result<Value> {
        let blob = workspace::get_blob(&file.id).await?;
        let content = workspace::get_blob_content(&file.id).await?;
        let text = String::from_utf8_lossy(&content);
        Ok(json!({"id": blob.id, "name": blob.name, "size": blob.size, "text": text}))
    }
}

impl Sending {
    fn builder(self) -> http::RequestBuilder {
        let mut request = http::request(self.method.unwrap_or_else(|| "GET".into()), self.url);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        if let Some(body) = self.body {
            request = request.body(body);
        }
        if let Some(attempts) = self.attempts {
            request = request.attempts(attempts);
        }
        if let Some(limit) = self.timeout_ms {
            request = request.timeout(Duration::from_millis(limit));
        }
        if let Some(name) = self.credential {
            request = request.credential(name);
        }
        match self.idempotency_key {
            Some(key) => request.idempotency_key(key),
            None => request,
        }
    }
}

fn answered(response: http::Response) -> Answered {
    Answered {
        status: response.status(),
        headers: response.headers().iter().cloned().collect(),
        body: response.text().into_owned(),
    }
}

fn fail_if_set(key: &str) -> Result<()> {
    config::get(key).map_or(Ok(()), |text| Err(Error::msg(text)))
}
