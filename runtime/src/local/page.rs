//! The web page: three files of our own, nothing from elsewhere.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;

use super::hub::Hub;
use super::oauth::{self, CALLBACK, Callback};

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPTS: [(&str, &str); 4] = [
    ("/page/main.js", include_str!("page/main.js")),
    ("/page/dom.js", include_str!("page/dom.js")),
    ("/page/form.js", include_str!("page/form.js")),
    ("/page/call.js", include_str!("page/call.js")),
];
const NOTE: &str = include_str!("page/note.html");

pub fn routes() -> Router<Arc<Hub>> {
    let style = get(|| async { ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE) });
    let mut routes = Router::new()
        .route("/", get(page))
        .route("/favicon.ico", get(|| async { StatusCode::NO_CONTENT }))
        .route("/page/page.css", style)
        .route(CALLBACK, get(callback));
    for (path, script) in SCRIPTS {
        let kind = "text/javascript; charset=utf-8";
        routes = routes
            .route(path, get(move || async move { ([(header::CONTENT_TYPE, kind)], script) }));
    }
    routes
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
}

/// The page comes with the cookie at once, not after a redirect: a browser that was sent here from
/// another program would not send a strict cookie along. The script takes the token off the address.
async fn page(
    State(hub): State<Arc<Hub>>,
    Query(Token { token }): Query<Token>,
    headers: HeaderMap,
) -> Response {
    let gives_token = token.is_some_and(|token| hub.access.is_token(&token));
    if gives_token {
        return ([(header::SET_COOKIE, hub.access.cookie())], Html(PAGE)).into_response();
    }
    if hub.access.knows(&headers) {
        return Html(PAGE).into_response();
    }
    let text = "Open the address that the workspace printed when it started; it ends in ?token=….";
    (StatusCode::UNAUTHORIZED, note("Who are you?", text)).into_response()
}

/// Comes from another site, so without the cookie. The `state` of the flow says that it is ours.
async fn callback(State(hub): State<Arc<Hub>>, Query(callback): Query<Callback>) -> Response {
    match oauth::finish(&hub, callback).await {
        Ok(()) => note("Connected", "The connector has its grant. You can close this window.")
            .into_response(),
        Err(text) => (StatusCode::BAD_REQUEST, note("Not connected", &text)).into_response(),
    }
}

fn note(title: &str, text: &str) -> Html<String> {
    Html(NOTE.replace("{{title}}", &escape(title)).replace("{{text}}", &escape(text)))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_provider_says_is_text_on_the_note() {
        let Html(page) = note("Not connected", "<script>alert('x')</script>");
        assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"), "{page}");
        assert!(!page.contains("<script>"), "{page}");
    }
}
