//! What came with a call, beside its arguments.

/// What came with a call, beside its arguments. An action that wants it takes it as last argument.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Context {
    /// The id of this call. Logs and requests of the call carry it.
    pub call_id: String,
    /// The task of the workspace that the call belongs to.
    pub task_id: Option<String>,
    /// The namespace that the workspace sent, as it sent it.
    pub namespace: Option<String>,
    /// The sticky value that the workspace sent. A value that is not a string is JSON text.
    pub sticky: Option<String>,
}

impl Context {
    /// The context of a call with that id, for tests.
    pub fn new(call_id: impl Into<String>) -> Self {
        Self { call_id: call_id.into(), ..Self::default() }
    }

    /// The same in a task, for tests.
    #[must_use]
    pub fn with_task(mut self, id: impl Into<String>) -> Self {
        self.task_id = Some(id.into());
        self
    }

    /// The same in a namespace, for tests.
    #[must_use]
    pub fn with_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// The same with a sticky value, for tests.
    #[must_use]
    pub fn with_sticky(mut self, sticky: impl Into<String>) -> Self {
        self.sticky = Some(sticky.into());
        self
    }
}
