//! One grant: an origin, and what of it may be asked for.

use std::sync::Arc;

use http::Method;
use url::{Host, Url};

use super::origin::Origin;
use super::path::{Path, Prefix};
use super::terms::Terms;

/// What the operator lets a connector reach, and on which terms.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    pub id: Arc<str>,
    pub origin: Origin,
    /// Special-purpose addresses too.
    pub is_private: bool,
    /// None stands for all.
    pub methods: Option<Vec<Method>>,
    /// None stands for all.
    pub paths: Option<Vec<Prefix>>,
    pub terms: Arc<Terms>,
    /// The terms as they are written in connector.toml, a blank before each key.
    pub written: Arc<str>,
}

/// How closely a grant names a request. The greatest one decides on the terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Closeness {
    host: usize,
    path: usize,
    names_method: bool,
}

/// What a request asks of an origin.
pub(super) struct Asked<'a> {
    pub method: &'a Method,
    pub path: Path,
}

impl<'a> Asked<'a> {
    pub fn new(method: &'a Method, url: &Url) -> Self {
        Self { method, path: Path::of(url) }
    }
}

impl Grant {
    /// A grant of everything at an origin, as a flag gives it.
    pub fn whole(id: Arc<str>, origin: Origin, is_private: bool) -> Self {
        let (terms, written) = Default::default();
        Self { id, origin, is_private, methods: None, paths: None, terms, written }
    }

    /// Whether it is for the URL's origin.
    pub fn is_for(&self, url: &Url, host: &Host<String>) -> bool {
        self.origin.matches(url, host)
    }

    /// How closely it names what is asked of its origin. None where it does not grant it.
    pub fn grants(&self, asked: &Asked<'_>) -> Option<Closeness> {
        if !self.grants_method(asked.method) {
            return None;
        }
        Some(Closeness { path: self.path(&asked.path)?, ..self.closeness() })
    }

    /// How closely it names its origin, whatever is asked of it.
    pub fn closeness(&self) -> Closeness {
        let host = self.origin.closeness();
        Closeness { host, path: 0, names_method: self.methods.is_some() }
    }

    /// The same for what is asked, too. `path` is how the path is written.
    pub fn widened(&self, asked: &Asked<'_>, path: &str) -> Self {
        let mut wider = self.clone();
        if let Some(methods) = wider.methods.as_mut().filter(|_| !self.grants_method(asked.method))
        {
            methods.push(asked.method.clone());
        }
        if let Some(paths) = wider.paths.as_mut().filter(|_| !self.grants_path(&asked.path)) {
            // A path of a URL can always be written as one; see `shown_path`.
            paths.extend(Prefix::read(path));
        }
        wider
    }

    pub fn grants_method(&self, method: &Method) -> bool {
        self.methods.as_ref().is_none_or(|methods| methods.contains(method))
    }

    pub fn grants_path(&self, path: &Path) -> bool {
        self.path(path).is_some()
    }

    fn path(&self, path: &Path) -> Option<usize> {
        let Some(prefixes) = &self.paths else { return Some(0) };
        // One more, because "/" is still closer than nothing.
        prefixes.iter().filter(|prefix| prefix.covers(path)).map(|p| p.closeness() + 1).max()
    }
}
