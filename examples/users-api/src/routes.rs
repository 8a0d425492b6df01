//! The paths of the API, behind its key.

use std::sync::Arc;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use parking_lot::Mutex;

use crate::answers::Refusal;
use crate::store::{Fault, Filter, MOST_USER_BYTES, Store, User};

type Users = State<Arc<Mutex<Store>>>;

/// All paths, for callers who have the key.
pub fn routes(key: String) -> Router {
    let expected: Arc<str> = format!("Bearer {key}").into();
    Router::new()
        .route("/users", get(list).post(create))
        .route("/users/{id}", get(read).patch(update))
        .fallback(no_path)
        .layer(middleware::from_fn_with_state(expected, check_key))
        .layer(DefaultBodyLimit::max(MOST_USER_BYTES))
        .with_state(Arc::default())
}

async fn check_key(
    State(expected): State<Arc<str>>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let given = request.headers().get(header::AUTHORIZATION);
    if given.is_none_or(|given| given.as_bytes() != expected.as_bytes()) {
        return Err(Refusal::Unauthorized);
    }
    Ok(next.run(request).await)
}

async fn create(
    State(store): Users,
    user: Result<Json<User>, JsonRejection>,
) -> Result<(StatusCode, Json<User>), Refusal> {
    let Json(user) = user?;
    if !user.get("email").is_some_and(|email| email.is_string()) {
        let message = "a user needs an `email`".into();
        return Err(Refusal::Invalid(StatusCode::UNPROCESSABLE_ENTITY, message));
    }
    let created = store.lock().create(user).map_err(|_| Refusal::Full)?;
    Ok((StatusCode::CREATED, Json(created)))
}

async fn read(State(store): Users, Path(id): Path<String>) -> Result<Json<User>, Refusal> {
    let user = store.lock().get(&id);
    user.map(Json).ok_or(Refusal::NoUser(id))
}

async fn update(
    State(store): Users,
    Path(id): Path<String>,
    change: Result<Json<User>, JsonRejection>,
) -> Result<Json<User>, Refusal> {
    let Json(change) = change?;
    let changed = store.lock().update(&id, change);
    changed.map(Json).map_err(|fault| match fault {
        Fault::Missing => Refusal::NoUser(id),
        Fault::Full => Refusal::Full,
    })
}

async fn list(
    State(store): Users,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Json<Vec<User>>, Refusal> {
    let Query(filter) = filter?;
    let users = store.lock().list(&filter);
    Ok(Json(users))
}

async fn no_path(uri: Uri) -> Refusal {
    Refusal::NoPath(uri.path().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use http_body_util::BodyExt;
    use serde_json::{Value, json};
    use tower_service::Service;

    /// Sends a request with the key and gives status and body.
    async fn send(routes: &mut Router, line: &str, body: Value) -> (u16, Value) {
        send_with("Bearer k", routes, line, body).await
    }

    async fn send_with(key: &str, routes: &mut Router, line: &str, body: Value) -> (u16, Value) {
        let (method, path) = line.split_once(' ').expect("a method and a path");
        let request = axum::http::Request::builder()
            .method(method)
            .uri(path)
            .header("Authorization", key)
            .header("Content-Type", "application/json")
            .body(Body::from(body.to_string()))
            .expect("a good request");
        let answer = routes.call(request).await.expect("an answer, whatever it is");
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.expect("a whole body").to_bytes();
        (status, serde_json::from_slice(&body).expect("a JSON body"))
    }

    #[tokio::test]
    async fn a_user_lives_through_all_paths() {
        let mut routes = routes("k".into());
        let given = json!({"email": "ada@example.com", "firstName": "Ada"});
        let (status, created) = send(&mut routes, "POST /users", given).await;
        assert_eq!((status, &created["id"]), (201, &json!("1")));

        let change = json!({"first_name": "Grace"});
        let (status, changed) = send(&mut routes, "PATCH /users/1", change).await;
        assert_eq!((status, &changed["first_name"]), (200, &json!("Grace")));

        assert_eq!(send(&mut routes, "GET /users/1", Value::Null).await, (200, changed.clone()));
        let listed = send(&mut routes, "GET /users?role=user&limit=5", Value::Null).await;
        assert_eq!(listed, (200, json!([changed])));
    }

    #[tokio::test]
    async fn refusals_say_why() {
        let mut routes = routes("k".into());
        let cases = [
            ("GET /users/9", Value::Null, 404, "no user `9`"),
            ("PATCH /users/9", json!({}), 404, "no user `9`"),
            ("GET /", Value::Null, 404, "nothing at `/`; this API has `/users` and `/users/ID`"),
            ("POST /users", json!({}), 422, "a user needs an `email`"),
        ];
        for (line, body, status, message) in cases {
            let answer = send(&mut routes, line, body).await;
            assert_eq!(answer, (status, json!({ "error": message })), "{line}");
        }
        assert_eq!(send(&mut routes, "POST /users", json!([])).await.0, 422);
        assert_eq!(send(&mut routes, "GET /users?limit=x", Value::Null).await.0, 400);
    }

    #[tokio::test]
    async fn nobody_gets_in_without_the_key() {
        let mut routes = routes("k".into());
        for key in ["", "k", "Bearer", "Bearer K", "Bearer kk"] {
            let (status, _) = send_with(key, &mut routes, "GET /users", Value::Null).await;
            assert_eq!(status, 401, "{key}");
        }
    }
}
